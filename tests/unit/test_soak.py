"""The soak's report and exit status: what a user reads after half an hour."""

from collections import Counter

import pytest

from tests.pipeline import soak
from tests.pipeline.rounds import Figures

ROUND = {
    "seconds": 90.0,
    "transactions": 6_000,
    "batches": 40,
    "invocations": 300,
    "kills": 100,
    "compared": 12_000,
    "commits": 30,
}


def test_the_report_adds_rounds_up_and_fits_a_page() -> None:
    """Figures of all rounds are summed, with kills and faults by kind, in at most 80 columns."""
    total = Figures()
    for seed in (7, 8):
        events = Counter({"S3: timeout": 3, "database link: cut": 2, "killed in COPY": 100})
        disruptions = Counter({"source forked": 2, "buckets emptied": 1})
        total.add(
            Figures(seeds=[seed], **ROUND, events=events, disruptions=disruptions)  # type: ignore[arg-type]
        )

    lines = [line.strip("| ").split("|") for line in soak.report(total).splitlines()[2:]]
    assert {name.strip(): value.strip() for name, value in lines} == {
        "minutes": "3.0",
        "seeds": "7 to 8",
        "source transactions committed": "12,000",
        "batches": "80",
        "invocations, up to 4 at once": "600",
        "killed": "200",
        "killed in COPY": "200",
        "faults of S3, Glue and database links": "10",
        "S3: timeout": "6",
        "database link: cut": "4",
        "disruptions of databases and buckets": "6",
        "buckets emptied": "2",
        "source forked": "4",
        "rows and records compared": "24,000",
        "commits to Iceberg tables compared": "60",
        "rows lost": "0",
        "rows twice": "0",
        "rows different": "0",
        "stuck": "0",
    }
    assert max(map(len, soak.report(total).splitlines())) <= 80


@pytest.mark.parametrize(("wrong", "status"), [([], 0), (["seed 7: fact_payment 3"], 1)])
def test_a_difference_is_named_and_ends_the_soak_with_a_failure(
    wrong: list[str],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit status 0 only if every row of every round was right; else seed and key are shown."""

    def play(options: object, directory: object, total: Figures, log: object) -> None:
        total.add(Figures(seeds=[7], wrong=wrong))

    monkeypatch.setattr(soak, "_play_rounds", play)

    assert soak.main([]) == status
    assert capsys.readouterr().out.splitlines()[len(soak.report(Figures()).splitlines()) :] == wrong
