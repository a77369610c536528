"""The commands that use what is deployed: what each prints, and the exit status it ends with."""

import json
import os
from types import SimpleNamespace

import pytest

import deploy
from deployer.operations import output
from deployer.operations.pipeline import Run
from deployer.operations.status import Status
from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, Text, latest
from tests.unit.conftest import WHO, Command, running


def test_run_reports_its_rows(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run needs the account alone, no database URL, and counts rows by table."""
    result = Run(
        {"source": 7},
        batch=7,
        rows={"sales_order": 1200},
        quarantined={"sales_order": 1},
        loaded={"fact_sales_order": 1199},
    )
    running(monkeypatch, result)

    assert command("run") == (
        0,
        (
            "batch 7                                      rows\n"
            "sales_order       changed in the source     1,200\n"
            "sales_order       in quarantine                 1\n"
            "fact_sales_order  changed in the warehouse  1,199\n"
        ),
        f"{WHO}\n",
    )


def test_run_without_news(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that found nothing says so; as JSON the batch is null."""
    running(monkeypatch, Run({"source": None}, seconds={"extract": 0.1}))

    assert command("run")[:2] == (0, "nothing new in the source\n")
    status, out, _ = command("run", "--json")
    assert (status, json.loads(out)) == (
        0,
        {
            "batches": {"source": None},
            "batch": None,
            "rows": {},
            "loaded": {},
            "quarantined": {},
            "stopped": {},
            "waiting": {},
            "refused": {},
            "exports": [],
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
    running(
        monkeypatch, Run({"source": 6}, rows={"sales_order": 2}, loaded={"fact_sales_order": 1})
    )

    assert command("replay", "6") == (
        0,
        (
            "batch 7                                     rows\n"
            "sales_order       changed in the source        2\n"
            "fact_sales_order  changed in the warehouse     1\n"
        ),
        f"{WHO}\n",
    )


def test_replay_asks_whose_batch_is_meant(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each source has a batch 6: of several the command does not guess, and touches nothing."""
    replayed: list[tuple[str, int]] = []

    def replay(source: str, batch: int) -> Run:
        replayed.append((source, batch))
        return Run({"shop": None, source: batch + 1})

    pipeline = SimpleNamespace(sources=["shop", "books"], replay=replay)
    monkeypatch.setattr(deploy, "Pipeline", lambda *_, **__: pipeline)

    for arguments in (("replay", "6"), ("replay", "6", "--source", "sho")):
        status, _, err = command(*arguments)
        assert (status, err.splitlines()[1:]) == (
            2,
            ["error: --source must be one of shop, books"],
        )
    status, out, _ = command("replay", "6", "--source", "books")

    assert (status, out.split("  ")[0]) == (0, "batch 7 of books")
    assert replayed == [("books", 6)]


def test_ddl_prints_what_a_prepared_warehouse_needs(command: Command) -> None:
    """The SQL of every target table, in the schema of the settings; no account is asked."""
    os.environ["WAREHOUSE_SCHEMA"] = "Team 7"
    status, out, err = command("ddl")

    assert (status, err) == (0, "")
    assert out.startswith('CREATE SCHEMA IF NOT EXISTS "Team 7";\n')
    assert out.count('CREATE TABLE "Team 7".') == 13
    assert out.strip().endswith(";")
    document = json.loads(command("ddl", "--json")[1])
    assert "\n\n".join(document["warehouse"].values()) in out.replace("\n\n\n", "\n\n")


def test_a_mistake_in_the_pipeline_is_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the command, a declaration that is not there ends it before anything is asked."""
    os.environ["PIPELINE"] = "totsys"
    said = (
        "error: there is no pipelines/totsys/pipeline.py: PIPELINE may be retail, stripe, totesys, "
        "zipster\n"
    )

    for arguments in (
        (),
        ("plan",),
        ("status",),
        ("run",),
        ("replay", "1"),
        ("reconcile",),
        ("ddl",),
    ):
        assert command(*arguments) == (2, "", said)


@pytest.mark.parametrize("agrees", [True, False])
def test_reconcile_shows_each_table(
    command: Command, monkeypatch: pytest.MonkeyPatch, agrees: bool
) -> None:
    """The exit status is 0 only if all agree; keys and kept rows are named below the table."""
    apart = 0 if agrees else 2
    table = {
        "source": 20,
        "warehouse": 20,
        "missing": 0,
        "different": apart,
        "extra": 0,
        "pending": 4,
        "deleted": 0 if agrees else 1_200,
        "examples": {} if agrees else {"different": [3, 5]},
        "error": None,
        "note": None,
    }
    found = {"agrees": agrees, "tables": {"dim_staff": table}, "seconds": 1.0}
    reconciling = SimpleNamespace(reconcile=lambda repair: found)
    monkeypatch.setattr(deploy, "Pipeline", lambda *_, **__: reconciling)

    status, out, _ = command("reconcile")

    assert status == (0 if agrees else 1)
    assert out == (
        "target table  source  warehouse  missing  different  extra  pending\n"
        f"dim_staff         20         20        0          {apart}      0        4\n"
        + (
            ""
            if agrees
            else "dim_staff: different, such as 3, 5\n"
            "dim_staff: rows deleted in the source and kept: 1,200 (a managed warehouse marks "
            "them, in deleted_rows)\n"
        )
    )
    assert json.loads(command("reconcile", "--json")[1]) == found


def test_keys_of_several_columns_are_distinguished() -> None:
    """Each stands in brackets; a key of one column may have a comma and has none."""
    a, b = Integer(), Text()
    line = Table("line", key=("a", "b"), columns={"a": a, "b": b})
    place = Table("place", key="b", columns={"b": b})
    pipeline = Pipeline(
        sources=[Postgres("source", (line, place))],
        targets=[PostgresWarehouse("warehouse", (latest(line), latest(place)))],
    )
    found = {
        "tables": {
            name: {"examples": {"extra": keys}, "deleted": 0, "error": None, "note": None}
            for name, keys in {"line": ["5, FR", "46, GB"], "place": ["Rome, GA", "Pisa"]}.items()
        }
    }

    assert [str(line) for line in output.remarks(found, pipeline)] == [
        "line: extra, such as (5, FR), (46, GB)",
        "place: extra, such as Rome, GA, Pisa",
    ]


HOSTILE = 'table staff: column x is now enum "[/x]\x1b[2J" (a)'


def test_a_hostile_name_neither_ends_reconcile_nor_reaches_the_terminal(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Markup and escapes in a type's name or a key are shown as they are, in errors and notes."""
    kinds = ("source", "warehouse", "missing", "different", "extra", "pending", "deleted")
    numbers = dict.fromkeys(kinds, 0)
    table: dict[str, object] = {
        **numbers,
        "examples": {"extra": [HOSTILE]},
        "error": HOSTILE,
        "note": None,
    }
    repaired = {
        "batches": {"source": 8},
        "loaded": {"dim_staff": 1_200},
        "stopped": {"staff": HOSTILE},
    }
    found = {"agrees": False, "tables": {"dim_staff": table}, "repaired": repaired}
    asked: list[bool] = []

    def reconcile(repair: bool) -> dict[str, object]:
        asked.append(repair)
        return found

    monkeypatch.setattr(deploy, "Pipeline", lambda *_, **__: SimpleNamespace(reconcile=reconcile))

    status, out, _ = command("reconcile", "--repair")

    visible = HOSTILE.replace("\x1b", "\\x1b")
    assert (status, asked) == (1, [True])
    assert out.splitlines()[2:] == [
        f"dim_staff: extra, such as {visible}",
        f"dim_staff: {visible}",
        "repair: batch 8, 1,200 rows new or updated",
        f"left out: {visible}",
    ]


def test_a_status_of_nothing_deployed_fails(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status of a pipeline that is not deployed says so, in the exit status too."""
    nothing = Status(
        is_deployed=False,
        functions={},
        sources={},
        alarms={},
        failed_events=None,
        unconfirmed=[],
        hours_left=None,
    )
    monkeypatch.setattr(deploy, "read_status", lambda *_, **__: nothing)

    assert command("status")[0] == 1
    assert json.loads(command("status", "--json")[1])["is_deployed"] is False
