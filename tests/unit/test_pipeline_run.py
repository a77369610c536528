"""One run of a deployed pipeline: what it invokes, waits for and reports."""

from typing import Any, cast

import pytest

from deployer.aws.waiting import Waited
from deployer.errors import OperationError
from deployer.operations.pipeline import Run
from tests.unit.scripted_functions import (
    DENIED,
    NOTHING,
    REMODELLED,
    Lambda,
    Sandbox,
    extracted,
    lake,
    loaded,
)


def test_a_run_without_news_reports_no_batch() -> None:
    """When nothing has changed the batch is null, and each function is asked once."""
    sandbox = Sandbox(Lambda(extract=[extracted(None)], transform=[REMODELLED], load=[NOTHING]))

    assert sandbox.pipeline.run() == Run(
        {"source": None}, seconds={"extract": 0, "transform": 0, "load": 0}
    )
    assert sandbox.functions.invoked == ["extract", "transform", "load"]
    assert sandbox.steps == ["extract", "transform", "load"]


def test_a_run_reports_its_rows() -> None:
    """Rows that changed, rows held back and rows loaded are counted by table."""
    sandbox = Sandbox(
        Lambda(
            extract=[extracted(7)],
            transform=[REMODELLED | {"batches": [7]}, REMODELLED],
            load=[loaded(7, fact_sales_order=2), NOTHING],
        ),
        **lake(7, {"sales_order": 3, "staff": 0}, {"sales_order": 1, "staff": 0}),
    )

    assert sandbox.pipeline.run() == Run(
        {"source": 7},
        batch=7,
        rows={"sales_order": 3},
        loaded={"fact_sales_order": 2},
        quarantined={"sales_order": 1},
        seconds={"extract": 0, "transform": 0, "load": 0},
    )


def test_a_backlog_is_worked_off() -> None:
    """Functions are asked again until they have nothing left, and older batches count too."""
    sandbox = Sandbox(
        Lambda(
            extract=[extracted(None)],
            transform=[REMODELLED | {"batches": [5]}, REMODELLED | {"batches": [6]}, REMODELLED],
            load=[loaded(5, dim_staff=1), loaded(6, dim_staff=2, dim_design=1), NOTHING],
        ),
        **lake(5, {"staff": 1}, {}),
        **lake(6, {"staff": 2, "design": 1}, {"design": 0}),
    )

    run = sandbox.pipeline.run()

    assert (run.batch, run.rows) == (6, {"staff": 3, "design": 1})
    assert run.loaded == {"dim_staff": 3, "dim_design": 1}


def test_another_loader_is_waited_for() -> None:
    """While a scheduled load is at work we wait, and then load what it left."""
    busy = NOTHING | {"busy": True}
    sandbox = Sandbox(
        Lambda(
            extract=[extracted(7)],
            transform=[REMODELLED],
            load=[busy, busy, loaded(7, dim_staff=1), NOTHING],
        ),
        **lake(7, {"staff": 1}, {}),
    )

    run = sandbox.pipeline.run()

    assert (run.loaded, run.seconds["load"]) == ({"dim_staff": 1}, 2.0)


def test_the_rows_of_a_faster_loader_count() -> None:
    """When the schedule has loaded our batch before us, its rows are reported all the same."""
    marker = {"batch": 7, "rows": {"dim_staff": {"staged": 9, "inserted": 1, "updated": 2}}}
    again = {"batch": 8, "rows": {}}
    sandbox = Sandbox(
        Lambda(extract=[extracted(7)], transform=[REMODELLED], load=[NOTHING]),
        **lake(7, {"staff": 3}, {}),
        **{
            "processed/loaded/source/0000000001.json": cast("Any", marker),
            "processed/loaded/source/0000000002.json": cast("Any", again),
        },
    )

    run = sandbox.pipeline.run()

    assert (run.batch, run.loaded) == (7, {"dim_staff": 3})


def test_a_loader_that_never_ends_is_named() -> None:
    """A run does not wait for ever: after 16 minutes it says where to look."""
    busy = NOTHING | {"busy": True}
    sandbox = Sandbox(Lambda(extract=[extracted(None)], transform=[REMODELLED], load=[busy] * 1000))

    with pytest.raises(OperationError) as failed:
        sandbox.pipeline.run()

    assert str(failed.value) == (
        "load: another loader has been running for 16 minutes. "
        "Look for the session that holds an advisory lock in the warehouse."
    )


def test_a_table_that_is_left_out_is_reported() -> None:
    """The result says why a table could not be read, and the others arrive."""
    why = "table currency: no right to read it: GRANT SELECT ON currency to this role"
    sandbox = Sandbox(
        Lambda(extract=[extracted(None, currency=why)], transform=[REMODELLED], load=[NOTHING])
    )

    assert sandbox.pipeline.run().stopped == {"currency": why}


def test_a_function_that_fails_ends_the_run() -> None:
    """The function's own message is passed on, with its name, and nothing is invoked after it."""
    sandbox = Sandbox(Lambda(extract=["database totesys: password authentication failed"]))

    with pytest.raises(OperationError) as failed:
        sandbox.pipeline.run()

    assert str(failed.value) == "extract: database totesys: password authentication failed"
    assert sandbox.sleeps == []


def test_a_new_policy_is_waited_for() -> None:
    """Right after a deployment AWS may still refuse: we wait, and report once for how long."""
    sandbox = Sandbox(
        Lambda(extract=[DENIED, DENIED, extracted(None)], transform=[REMODELLED], load=[NOTHING])
    )

    assert sandbox.pipeline.run().batch is None
    assert sandbox.reported == [Waited("the new policy to take effect", 20.0)]


def test_a_policy_that_refuses_for_good_ends_the_run() -> None:
    """After three minutes a refusal is believed, and passed on."""
    sandbox = Sandbox(Lambda(extract=[DENIED] * 100))

    with pytest.raises(OperationError) as failed:
        sandbox.pipeline.run()

    assert (str(failed.value), sum(sandbox.sleeps)) == (f"extract: {DENIED}", 180.0)
    assert sandbox.reported == []


def test_the_local_aws_is_believed_at_once() -> None:
    """On this machine a policy holds at once, so a refusal is a defect that nobody waits for."""
    sandbox = Sandbox(Lambda(extract=[DENIED]), endpoint="http://127.0.0.1:4566")

    with pytest.raises(OperationError, match="AccessDeniedException"):
        sandbox.pipeline.run()

    assert sandbox.sleeps == []


def test_a_pipeline_that_is_not_deployed_is_named() -> None:
    """Running before the first deployment fails with the command that deploys."""
    with pytest.raises(OperationError) as failed:
        Sandbox(Lambda()).pipeline.run()

    assert str(failed.value) == (
        "function totesys-etl-dev-extract does not exist: deploy it first, with `python deploy.py`."
    )


def test_a_run_follows_the_batches_of_every_source() -> None:
    """Each source has its own newest batch, and tables that go by its name."""
    manifests = {
        key.replace("/source/", f"/{source}/"): manifest
        for source, batch in (("shop", 7), ("books", 2))
        for key, manifest in lake(batch, {"staff": batch}, {"staff": 1}).items()
    }
    sandbox = Sandbox(
        Lambda(
            extract=[
                {"sources": {"shop": extracted(7), "books": extracted(2, staff="it is gone")}}
            ],
            transform=[
                {"sources": {"shop": REMODELLED | {"batches": [7]}, "books": REMODELLED}},
                {"sources": {"shop": REMODELLED, "books": REMODELLED}},
            ],
            load=[
                {"sources": {"shop": loaded(7, dim_staff=3), "books": loaded(2, entry=4)}},
                {"sources": {"shop": NOTHING, "books": NOTHING}},
            ],
        ),
        sources=("shop", "books"),
        **manifests,
    )

    assert sandbox.pipeline.run() == Run(
        {"shop": 7, "books": 2},
        rows={"shop/staff": 7, "books/staff": 2},
        loaded={"dim_staff": 3, "entry": 4},
        quarantined={"shop/staff": 1, "books/staff": 1},
        stopped={"books/staff": "it is gone"},
        seconds={"extract": 0, "transform": 0, "load": 0},
    )
    assert sandbox.functions.invoked == ["extract", *["transform"] * 2, *["load"] * 2]


def test_a_replay_asks_extract_for_the_batch() -> None:
    """The number goes with the event, and the new batch is followed to the warehouse."""
    sandbox = Sandbox(
        Lambda(
            extract=[extracted(8)],
            transform=[REMODELLED],
            load=[loaded(8, dim_staff=1), NOTHING],
        ),
        **lake(8, {"staff": 4}, {}),
    )

    run = sandbox.pipeline.replay("source", 3)

    assert (run.batch, run.rows, run.loaded) == (8, {"staff": 4}, {"dim_staff": 1})
    assert sandbox.functions.events[0] == {"replay": 3, "source": "source"}


def test_an_extract_that_is_postponed_for_ever_is_a_failure() -> None:
    """After a quarter of an hour the run ends with the reason."""
    postponed = extracted(None) | {"postponed": "the replica has not caught up"}
    sandbox = Sandbox(Lambda(extract=[postponed] * 1000))

    with pytest.raises(
        OperationError, match="nothing was read for 16 minutes: the replica has not"
    ):
        sandbox.pipeline.run()
