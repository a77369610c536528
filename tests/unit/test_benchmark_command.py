"""The command line of the benchmarks: what is published, and what is not."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import report
from benchmarks.measuring import Plan, Record

MACHINE = {"commit": "1f3c", "cores": 2, "load_average": 0.0, "began": "09:00", "ended": "09:00"}


@dataclass
class Bench:
    """The command with two subjects that measure at once, and the folders it writes to."""

    docs: Path
    trials: Path
    run: dict[str, Any]

    def published(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.docs / "benchmarks.json").read_text())
        return document


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench(tmp_path / "docs", tmp_path / "trials", dict(MACHINE))

    def subject(number: int) -> command.Subject:
        def measure(testbed: object) -> Iterator[Record]:
            yield {"case": made.run["commit"], "rows": number, "contender": "ours"}

        return measure

    @contextmanager
    def no_testbed(plan: Plan) -> Iterator[Any]:
        class Databases:
            settings = staticmethod(dict[str, str])

        class Bed:
            databases = Databases()

        yield Bed()

    def described(postgres: object, peers: object, *, is_trial: bool) -> dict[str, Any]:
        return {**made.run, "trial": is_trial}

    monkeypatch.setattr(command, "PUBLISHED", made.docs)
    monkeypatch.setattr(command, "TRIALS", made.trials)
    monkeypatch.setattr(command, "SUBJECTS", {"extract": subject(1), "load": subject(2)})
    monkeypatch.setattr(command, "testbed", no_testbed)
    monkeypatch.setattr(command, "describe_run", described)
    monkeypatch.setattr(command, "peers_python", lambda: None)
    monkeypatch.setattr(report, "render", lambda results, plots: f"{results.run}")
    return made


@pytest.mark.parametrize(
    "arguments",
    [
        ["--quick"],
        ["load", "--rows", "1000"],
        ["load", "--repeat", "1"],
        ["--only", "ours"],
        ["--no-peers"],
    ],
)
def test_a_trial_is_written_elsewhere(bench: Bench, arguments: list[str]) -> None:
    """What does not measure everything in the usual way leaves the published figures alone."""
    assert command.main([]) == 0
    before = {path: path.read_bytes() for path in bench.docs.iterdir()}

    assert command.main(arguments) == 0

    assert {path: path.read_bytes() for path in bench.docs.iterdir()} == before
    assert sorted(path.name for path in bench.trials.iterdir()) == [
        "benchmarks.json",
        "benchmarks.md",
    ]


def test_a_trial_is_not_published_by_name(bench: Bench) -> None:
    """Naming the folder of the published figures does not get a trial in there."""
    with pytest.raises(SystemExit, match="2"):
        command.main(["--quick", "--into", str(bench.docs)])

    assert not bench.docs.exists()


def test_a_whole_run_replaces_what_is_published(bench: Bench) -> None:
    """The figures of an earlier commit are gone, with their plots."""
    command.main([])
    (bench.docs / "benchmarks-load.png").touch()
    bench.run["commit"] = "2e4d"

    assert command.main([]) == 0

    published = bench.published()
    assert published["run"]["commit"] == "2e4d"
    assert {name: one["case"] for name, [one] in published["records"].items()} == {
        "extract": "2e4d",
        "load": "2e4d",
    }
    assert sorted(path.suffix for path in bench.docs.iterdir()) == [".json", ".md"]


def test_a_subject_is_added_to_the_same_run(bench: Bench) -> None:
    """What fails half-way is completed without measuring the rest again."""
    command.main(["extract"])
    bench.run |= {"began": "10:00", "load_average": 0.2}

    assert command.main(["load"]) == 0

    published = bench.published()
    assert sorted(published["records"]) == ["extract", "load"]
    assert published["run"]["began"] == "09:00"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"commit": "2e4d"}, "commit '2e4d' here, '1f3c' there"),
        ({"cores": 4}, "cores 4 here, 2 there"),
        ({"commit": None}, "files have been changed since the last commit"),
    ],
)
def test_a_subject_of_another_run_is_refused(
    bench: Bench, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], reason: str
) -> None:
    """Figures of two machines or two commits never stand in one report, and the reason is given."""
    command.main([])
    before = {path: path.read_bytes() for path in bench.docs.iterdir()}
    bench.run |= changed

    assert command.main(["load"]) == 1

    said = capsys.readouterr().err
    assert reason in said
    assert "measure everything again" in said
    assert {path: path.read_bytes() for path in bench.docs.iterdir()} == before


def test_changed_files_never_agree(bench: Bench) -> None:
    """Two runs of changed files are not known to have measured the same code."""
    bench.run["commit"] = None
    command.main(["extract"])

    assert command.main(["load"]) == 1


def test_the_page_is_made_again_from_the_results(bench: Bench) -> None:
    """A report needs no measurement once there are results."""
    command.main([])
    page = (bench.docs / "benchmarks.md").read_text()
    (bench.docs / "benchmarks.md").unlink()

    assert command.main(["report"]) == 0

    assert (bench.docs / "benchmarks.md").read_text() == page


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--rows", "1000"], "name one"),
        (["sort"], "no such subject: sort"),
        (["report", "load"], "`report` stands alone"),
    ],
)
def test_wrong_usage_is_refused_before_anything_starts(
    bench: Bench, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    """A size for all subjects, or an unknown one, would mean too much or nothing."""
    with pytest.raises(SystemExit, match="2"):
        command.main(arguments)

    assert reason in capsys.readouterr().err
    assert not bench.docs.exists()
    assert not bench.trials.exists()
