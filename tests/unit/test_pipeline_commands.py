"""The commands that use what is deployed: what each prints, and the exit status it ends with."""

import json
from types import SimpleNamespace

import pytest

import deploy
from deployer.pipeline import Run
from deployer.status import Status
from tests.unit.conftest import WHO, Command, running


def test_run_tells_what_it_brought(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run needs the account alone, no database URL, and tells rows by table."""
    brought = Run(
        batch=7,
        rows={"sales_order": 1200},
        quarantined={"sales_order": 1},
        loaded={"fact_sales_order": 1199},
    )
    running(monkeypatch, brought)

    assert command("run") == (
        0,
        (
            "batch 7                                             rows\n"
            "sales_order       changed in the source            1,200\n"
            "sales_order       in quarantine                        1\n"
            "fact_sales_order  new or updated in the warehouse  1,199\n"
        ),
        f"{WHO}\n",
    )


def test_run_without_news(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that found nothing says so; as JSON the batch is null."""
    running(monkeypatch, Run(seconds={"extract": 0.1}))

    assert command("run")[:2] == (0, "nothing new in the source\n")
    status, out, _ = command("run", "--json")
    assert (status, json.loads(out)) == (
        0,
        {
            "batch": None,
            "rows": {},
            "loaded": {},
            "quarantined": {},
            "stopped": {},
            "seconds": {"extract": 0.1},
        },
    )


def test_a_run_that_left_a_table_out_fails(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that could not be read is named, and the exit status is not 0."""
    running(monkeypatch, Run(stopped={"staff": "table staff is not in schema public"}))

    assert command("run") == (
        1,
        "nothing new in the source\n",
        f"{WHO}\nleft out: table staff is not in schema public\n",
    )


def test_replay_names_the_new_batch(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of batch 6 come again as the next one."""
    running(monkeypatch, Run(batch=6, rows={"sales_order": 2}, loaded={"fact_sales_order": 1}))

    assert command("replay", "6") == (
        0,
        (
            "batch 7                                            rows\n"
            "sales_order       changed in the source               2\n"
            "fact_sales_order  new or updated in the warehouse     1\n"
        ),
        f"{WHO}\n",
    )


@pytest.mark.parametrize("agrees", [True, False])
def test_reconcile_shows_each_table(
    command: Command, monkeypatch: pytest.MonkeyPatch, agrees: bool
) -> None:
    """The exit status is 0 only if all agree, and keys say where to look."""
    apart = 0 if agrees else 2
    table = {
        "source": 20,
        "warehouse": 20,
        "missing": 0,
        "different": apart,
        "extra": 0,
        "pending": 4,
        "examples": {} if agrees else {"different": [3, 5]},
        "error": None,
        "note": None,
    }
    found = {"agrees": agrees, "tables": {"dim_staff": table}, "seconds": 1.0}
    reconciling = SimpleNamespace(reconcile=lambda repair: found)
    monkeypatch.setattr(deploy, "Pipeline", lambda *_: reconciling)

    status, out, _ = command("reconcile")

    assert status == (0 if agrees else 1)
    assert out == (
        "star table  source  warehouse  missing  different  extra  pending\n"
        f"dim_staff       20         20        0          {apart}      0        4\n"
        + ("" if agrees else "dim_staff: different, such as 3, 5\n")
    )
    assert json.loads(command("reconcile", "--json")[1]) == found


HOSTILE = 'table staff: column x is now enum "[/x]\x1b[2J" (a)'


def test_a_hostile_name_neither_ends_reconcile_nor_reaches_the_terminal(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Markup and escapes in the name of a type are shown as they are, in errors and notes."""
    kinds = ("source", "warehouse", "missing", "different", "extra", "pending")
    numbers = dict.fromkeys(kinds, 0)
    table: dict[str, object] = {**numbers, "examples": {}, "error": HOSTILE, "note": None}
    repaired = {"batch": 8, "loaded": {"dim_staff": 1_200}, "stopped": {"staff": HOSTILE}}
    found = {"agrees": False, "tables": {"dim_staff": table}, "repaired": repaired}
    asked: list[bool] = []

    def reconcile(repair: bool) -> dict[str, object]:
        asked.append(repair)
        return found

    monkeypatch.setattr(deploy, "Pipeline", lambda *_: SimpleNamespace(reconcile=reconcile))

    status, out, _ = command("reconcile", "--repair")

    visible = HOSTILE.replace("\x1b", "\\x1b")
    assert (status, asked) == (1, [True])
    assert out.splitlines()[2:] == [
        f"dim_staff: {visible}",
        "repair: batch 8, 1,200 rows new or updated",
        f"left out: {visible}",
    ]


def test_a_status_of_nothing_deployed_fails(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking how a pipeline is that is not there is told so, in the exit status too."""
    nothing = Status(
        is_deployed=False,
        functions={},
        batches={},
        source_to_warehouse=None,
        snapshot_age=None,
        quarantine={},
        stopped={},
        schemas={},
        alarms={},
        failed_events=None,
        unconfirmed=[],
        hours_left=None,
    )
    monkeypatch.setattr(deploy, "read_status", lambda *_: nothing)

    assert command("status")[0] == 1
    assert json.loads(command("status", "--json")[1])["is_deployed"] is False
