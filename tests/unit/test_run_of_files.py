"""A run of a pipeline of files: what it waits for, reads on, and says of files and exports."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import deploy
import pipelines
from deployer.operations.files import RefusedFile
from deployer.operations.pipeline import Run
from tests.unit.conftest import Command, running
from tests.unit.scripted_functions import (
    NOTHING,
    REMODELLED,
    Lambda,
    Sandbox,
    extracted,
    lake,
    loaded,
)

PROCESSED = "totesys-etl-dev-123456789012-eu-west-2-processed"
ERRORS = f"s3://{PROCESSED}/errors/sale/sale.csv"
EXPORT = f"s3://{PROCESSED}/exports/staging/sale/1.csv"
FEW = RefusedFile(3, 1_200, None, ERRORS)
WHOLE = RefusedFile(1_200, 1_200, "9 % of its rows are refused, and 5 % may be", ERRORS)


def account_of(key: str, rows: int, refused: int, reason: str | None) -> dict[str, Any]:
    return {
        "table": "sale",
        "file": {"key": key},
        "rows": rows,
        "out": rows - refused,
        "refused": refused,
        "errors": "errors/sale/sale.csv" if refused else None,
        "reason": reason,
    }


def test_what_does_not_fit_into_a_batch_is_read_next() -> None:
    """Extract is asked until there is no more, and each of its batches counts."""
    sandbox = Sandbox(
        Lambda(
            extract=[extracted(7) | {"more": True}, extracted(8) | {"more": False}],
            transform=[REMODELLED],
            load=[loaded(7, 8, sale=5), NOTHING],
        ),
        **lake(7, {"sale": 2}, {}),
        **lake(8, {"sale": 2}, {}),
    )

    run = sandbox.pipeline.run(now=True)

    assert (run.batch, run.rows) == (8, {"sale": 4})
    assert sandbox.functions.events[:2] == [{"now": True}, {"now": True}]
    assert sandbox.sleeps == []


def test_a_file_that_was_corrected_since_is_not_refused() -> None:
    """A run that loads several batches ends well if the last version of each file went in."""
    sandbox = Sandbox(
        Lambda(extract=[extracted(None)], transform=[REMODELLED], load=[loaded(7, 8), NOTHING]),
        **of_files(
            7, account_of("sale.csv", 9, 9, "too many"), account_of("price.csv", 9, 1, None)
        ),
        **of_files(8, account_of("sale.csv", 9, 0, None)),
    )

    assert list(sandbox.pipeline.run().refused) == ["price.csv"]


def of_files(batch: int, *accounts: dict[str, Any]) -> dict[str, Any]:
    manifests = lake(batch, {}, {})
    manifests[f"processed/batches/source/{batch:010d}.json"]["files"] = list(accounts)
    return manifests


def test_files_that_settle_are_waited_for() -> None:
    """A drop that may not be whole yet is read as soon as nothing has come for a while."""
    settling = extracted(None) | {"postponed": "sale.csv came 3 s ago"}
    sandbox = Sandbox(
        Lambda(
            extract=[settling, settling, extracted(7)],
            transform=[REMODELLED],
            load=[NOTHING],
        )
    )

    assert (sandbox.pipeline.run().batch, sandbox.sleeps) == (7, [1.0, 1.0])


def test_what_is_not_to_be_read_yet_is_said() -> None:
    """A run that leaves files where they are says what they wait for."""
    waiting = extracted(None) | {"waiting": "price.csv is missing"}
    sandbox = Sandbox(Lambda(extract=[waiting], transform=[REMODELLED], load=[NOTHING]))

    assert sandbox.pipeline.run().waiting == {"source": "price.csv is missing"}


def test_refused_files_and_exports_are_said() -> None:
    """Each file with its figures and errors, each export as an address; none is in quarantine."""
    files = [account_of("sale.csv", 1_200, 3, None), account_of("price.csv", 2, 0, None)]
    batch = lake(7, {"sale": 1_200}, {"sale": 3, "staff": 1})
    made = "processed/batches/source/0000000007.json"
    sandbox = Sandbox(
        Lambda(
            extract=[extracted(7)],
            transform=[REMODELLED],
            load=[loaded(7, sale=1_197) | {"exports": [EXPORT]}, NOTHING],
        ),
        **{**batch, made: {**batch[made], "files": files}},
    )

    run = sandbox.pipeline.run()

    assert run.refused == {"sale.csv": FEW}
    assert run.quarantined == {"staff": 1}
    assert run.exports == [EXPORT]


def test_run_shows_files_that_were_refused(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are refused are no failure of the run; as JSON they are counted by file."""
    running(monkeypatch, Run({"shop": None}, waiting={"shop": "once a day"}, refused={"a": FEW}))

    status, out, _ = command("run")
    assert (status, out.splitlines()) == (
        0,
        [
            "nothing new in the source",
            "shop waits: once a day",
            "a: 3 of 1,200 rows refused",
            f"refused rows in s3://{PROCESSED}/",
            "  errors/sale/sale.csv",
        ],
    )
    assert json.loads(command("run", "--json")[1])["refused"] == {
        "a": {"rows": 3, "of": 1_200, "reason": None, "errors": ERRORS}
    }


def test_a_file_that_was_refused_whole_fails_the_run(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit status shows a program that the dropped file is not in the warehouse."""
    running(monkeypatch, Run({"shop": None}, waiting={"shop": "once a day"}, refused={"a": WHOLE}))

    status, out, _ = command("run", "--now")

    assert status == 1
    assert "waits" not in out
    assert "a: refused as a whole: 9 % of its rows are refused, and 5 % may be" in out


def test_deploy_says_where_files_are_dropped(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line of a deployment is the address; as JSON it is the name of the bucket."""
    folder = Path(__file__).parent.parent / "pipelines"
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(folder)])
    url = "postgresql://loader:s3cret@db.example.com/warehouse"
    os.environ.update({"PIPELINE": "market", "WAREHOUSE_DATABASE_URL": url})
    monkeypatch.setattr(deploy, "Deployer", lambda *_: Deployed())
    monkeypatch.setattr("deploy.sns.unconfirmed", lambda *_: [])

    bucket = "market-etl-dev-123456789012-eu-west-2-drop"
    assert command()[2].splitlines()[-1] == f"Drop files into s3://{bucket}/"
    assert json.loads(command("--json")[1])["drop_bucket"] == bucket


class Deployed:
    """A deployer that finds everything as it should be."""

    one_run_at_a_time = True
    network = SimpleNamespace(surroundings=None)

    def deploy(self) -> list[Any]:
        return []

    def check_functions(self) -> None:
        pass
