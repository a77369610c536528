"""The status of a deployment, as it is printed within 80 columns."""

import io
from dataclasses import replace

from rich.console import Console

from deployer.operations.files import RefusedFile
from deployer.operations.progress import Progress
from deployer.operations.status import (
    Batch,
    FunctionStatus,
    Quarantined,
    SourceStatus,
    SourceTable,
    Status,
)
from deployer.operations.status_view import status_view

SINCE = "2025-01-29T09:15:00Z"
QUIET = SourceStatus(
    batches={"extract": None, "transform": None, "load": None},
    source_to_warehouse=None,
    snapshot_age=None,
    quarantine={},
    stopped={},
    schemas={},
)
EMPTY = Status(
    is_deployed=False,
    functions={"extract": None, "transform": None, "load": None},
    sources={"source": QUIET},
    alarms={},
    failed_events=None,
    unconfirmed=[],
    hours_left=None,
)


def printed(status: Status) -> str:
    out = io.StringIO()
    console = Console(file=out, width=80, soft_wrap=True, highlight=False)
    for part in status_view(status):
        console.print(part)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def test_an_empty_account_is_said_to_be_empty() -> None:
    """Where nothing is deployed, that is what is said."""
    assert printed(EMPTY) == (
        "function   state         deployed  batch  written (UTC)\n"
        "extract    not deployed\n"
        "transform  not deployed\n"
        "load       not deployed\n"
        "freshness  no batch has been loaded"
    )


def test_a_busy_deployment_fits_the_terminal() -> None:
    """Everything that somebody must act on is named, in lines of at most 80 columns."""
    function = FunctionStatus("Active", "2025-01-30T09:00:00.000+0000", None)
    status = Status(
        is_deployed=True,
        functions={"extract": function, "transform": function, "load": None},
        sources={
            "source": SourceStatus(
                batches={
                    "extract": Batch(1204, "2025-01-30T10:15:31.5Z", "2025-01-30T10:15:30Z"),
                    "transform": Batch(1204, "2025-01-30T10:15:40Z", "2025-01-30T10:15:30Z"),
                    "load": Batch(1202, "2025-01-30T10:12:00Z", "2025-01-30T10:10:00Z"),
                },
                source_to_warehouse=61.4,
                snapshot_age=1234.5,
                seconds_left=130.0,
                quarantine={
                    "payment": Quarantined(1, {"payment_amount NaN is not a number": 1}),
                    "sales_order": Quarantined(
                        1002,
                        {
                            "agreed_delivery_date '2025-02-30' is not a date; "
                            "agreed_payment_date '2025-02-31' is not a date": 1000,
                            "waits for staff 5": 2,
                        },
                    ),
                },
                stopped={
                    "design": "column file_location is gone: put it back or adapt the pipeline"
                },
                schemas={
                    "address": SourceTable("0123456789ab", 10, SINCE, True, None),
                    "design": SourceTable(
                        "ba9876543210", 6, SINCE, True, "column file_location is gone"
                    ),
                    "x" * 63: SourceTable("ba9876543210", 1600, SINCE, False, None),
                    "former": SourceTable("ba9876543210", 2, SINCE, False, "table former is gone"),
                },
            )
        },
        alarms={
            "totesys-etl-dev-schema-drift": "ALARM",
            "totesys-etl-dev-freshness": "INSUFFICIENT_DATA",
            "totesys-etl-dev-load-errors": "INSUFFICIENT_DATA",
        },
        failed_events=1,
        unconfirmed=["team@example.com"],
        hours_left=31.25,
    )

    shown = printed(status)

    assert shown == (
        "function   state         deployed          batch  written (UTC)\n"
        "extract    Active        2025-01-30 09:00  1,204  2025-01-30 10:15\n"
        "transform  Active        2025-01-30 09:00  1,204  2025-01-30 10:15\n"
        "load       not deployed                    1,202  2025-01-30 10:12\n"
        "freshness   batch 1,202, the source as of 21 min ago, loaded in 61 s; 2 batches\n"
        "            waiting, about 2 min left\n"
        "left out    design: column file_location is gone: put it back or adapt the\n"
        "            pipeline\n"
        "quarantine  payment: 1 row\n"
        "              1 x payment_amount NaN is not a number\n"
        "            sales_order: 1,002 rows\n"
        "              1,000 x agreed_delivery_date '2025-02-30' is not a date;\n"
        "            agreed_payment_date '2025-02-31' is not a date\n"
        "              2 x waits for staff 5\n"
        "alarms      totesys-etl-dev-schema-drift\n"
        "            2 alarms without data yet\n"
        "queue       1 failed event\n"
        "e-mail      team@example.com has not confirmed the e-mail from AWS and receives\n"
        "            no alarms\n"
        "sandbox     expires in 31.2 hours\n"
        "source table            columns  fingerprint   since (UTC)       state\n"
        "address                      10  0123456789ab  2025-01-29 09:15  read\n"
        "design                        6  ba9876543210  2025-01-29 09:15  left out\n"
        "xxxxxxxxxxxxxxxxxxxxx…     1600  ba9876543210  2025-01-29 09:15  not used\n"
        "former                        2  ba9876543210  2025-01-29 09:15  dropped"
    )
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_an_expired_sandbox_is_said_to_be_expired() -> None:
    """An account that may be gone any moment is no mere number of hours."""
    status = Status(**{**vars(EMPTY), "hours_left": -0.5})

    assert printed(status).splitlines()[-1] == "sandbox    has expired"


def test_a_reason_that_quotes_a_hostile_value_stays_in_its_line() -> None:
    """A value of the source cannot control the terminal that shows the status."""
    reason = "payment_date '\x1b[2J\nalarms' is not a date"
    held = {"payment": Quarantined(1, {reason: 1})}

    shown = printed(
        Status(**{**vars(EMPTY), "sources": {"source": replace(QUIET, quarantine=held)}})
    ).splitlines()[-1]

    assert shown == "              1 x payment_date '\\x1b[2J\\nalarms' is not a date"


def test_each_source_has_batches_and_findings_of_its_own() -> None:
    """Where there are several sources, it is said which one is meant."""
    function = FunctionStatus("Active", "2025-01-30T09:00:00.000+0000", None)
    newest = Batch(3, "2025-01-30T10:15:31.5Z", "2025-01-30T10:15:30Z")
    shop = replace(
        QUIET,
        batches={"load": newest},
        source_to_warehouse=20.0,
        snapshot_age=60.0,
        stopped={"staff": "it is gone"},
    )

    status = replace(EMPTY, functions={"load": function}, sources={"shop": shop, "books": QUIET})

    assert printed(status) == (
        "function  state   deployed          source  batch  written (UTC)\n"
        "load      Active  2025-01-30 09:00  shop        3  2025-01-30 10:15\n"
        "                                    books\n"
        "freshness  shop: batch 3, the source as of 60 s ago, loaded in 20 s; none\n"
        "           waiting\n"
        "left out   shop: staff: it is gone\n"
        "freshness  books: no batch has been loaded"
    )


def test_tables_that_are_read_in_several_batches_are_shown_with_their_progress() -> None:
    """How many rows are read of how many, and the time left; or that others come first."""
    filling = {
        "sale": Progress(1_500_000, 9_812_000, 260.0),
        "shop": Progress(9_000, 8_000),
        "line": Progress(0, 0),
    }
    shop = replace(QUIET, filling=filling)

    said = printed(replace(EMPTY, sources={"shop": shop}))

    assert said.splitlines()[4:] == [
        "freshness  no batch has been loaded",
        "reading    sale: 1,500,000 of about 9,812,000 rows, about 4 min left",
        "           shop: 9,000 of about 9,000 rows",
        "           line: after other tables",
    ]


def test_files_are_said_with_what_was_refused_of_them() -> None:
    """Files that are new, rows and files that were refused and where to read why, the bucket."""
    errors = "s3://shop-processed/errors/sale/sale.csv"
    refusals = {
        "sale.csv": RefusedFile(3, 1_200, None, errors),
        "price.csv": RefusedFile(0, 0, "column price is missing", None),
    }
    shop = replace(QUIET, refusals=refusals, new_files=2)

    unread = ["a.txt", "b.txt", "c.txt", "d.txt"]
    said = printed(
        replace(EMPTY, sources={"shop": shop}, drop_bucket="shop-drop", strangers=unread)
    )

    assert said.splitlines()[4:] == [
        "freshness  no batch has been loaded",
        "files      2 files not read yet",
        "refused    sale.csv: 3 of 1,200 rows refused",
        "           price.csv: refused as a whole: column price is missing",
        "           rows in s3://shop-processed/errors/",
        "drop into  s3://shop-drop/",
        "not read   a.txt, b.txt, c.txt and 1 other: no feed matches",
    ]
