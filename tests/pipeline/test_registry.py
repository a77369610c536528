"""The registry of the source's tables: changes are reported once, and its content is known."""

import json
from datetime import datetime
from typing import Any

import pytest

from functions.common.batchlog import BatchLog
from functions.common.manifests import IngestionManifest
from functions.extract import handler as extract_handler
from local.connection import connect
from tests.pipeline.conftest import Context, Functions
from tests.pipeline.oracle import current, expected
from tests.totesys import TABLES

REFUND = "CREATE TABLE refund (refund_id serial PRIMARY KEY, amount numeric(10,2))"
IS_NEW = "is new: it goes as far as the ingestion bucket"
IS_GONE = "is gone: it was not declared"
TOUCH = "UPDATE payment SET paid = NOT paid WHERE payment_id = 1"
REFUND_IS_NEW = "table refund is new and not declared: declare it if the warehouse needs it"


def alter(functions: Functions, *statements: str) -> None:
    with connect(functions.source.superuser_url) as source:
        for statement in statements:
            source.run(statement)


def registry(functions: Functions, batch: int) -> dict[str, Any]:
    found: dict[str, Any] = manifest(functions, batch)["schemas"]
    return found


def manifest(functions: Functions, batch: int) -> dict[str, Any]:
    return functions.document(functions.ingestion, f"batches/source/{batch:010d}.json")


def test_the_first_batch_registers_every_table_without_a_word(functions: Functions) -> None:
    """Columns, fingerprint and moment of all tables are there; nothing counts as a change."""
    alter(functions, REFUND)

    extracted = functions.run()

    first = manifest(functions, 1)
    snapshot_at = first["source"]["snapshot_at"]
    assert extracted["drift"] == first["drift"] == []
    assert {name for name, table in first["schemas"].items() if table["carried"]} == set(TABLES)
    assert first["schemas"].keys() - TABLES == {"refund"}
    assert first["schemas"]["refund"] == {
        "columns": [["refund_id", "integer"], ["amount", "numeric(10,2)"]],
        "fingerprint": first["schemas"]["refund"]["fingerprint"],
        "since": snapshot_at,
        "carried": False,
        "error": None,
    }
    assert {table["since"] for table in first["schemas"].values()} == {snapshot_at}
    assert len({table["fingerprint"] for table in first["schemas"].values()}) == 12


@pytest.mark.parametrize(
    ("statements", "drift"),
    [
        (
            ["ALTER TABLE design ADD COLUMN weight numeric(6,3)"],
            [f"table design: column weight (numeric(6,3)) {IS_NEW}"],
        ),
        (
            ["ALTER TABLE sales_order ALTER COLUMN units_sold TYPE bigint"],
            ["table sales_order: column units_sold was integer and is now bigint: it goes through"],
        ),
        (
            [
                "ALTER TABLE department DROP COLUMN manager",
                "ALTER TABLE counterparty RENAME COLUMN delivery_contact TO contact",
            ],
            [
                f"table counterparty: column contact (text) {IS_NEW}",
                f"table counterparty: column delivery_contact (text) {IS_GONE}",
                f"table department: column manager (text) {IS_GONE}",
            ],
        ),
        (
            [
                "ALTER TABLE department DROP COLUMN manager",
                "ALTER TABLE department ADD COLUMN manager text",
            ],
            ["table department: its columns are in another order: nothing to do"],
        ),
    ],
    ids=["added", "widened", "gone", "moved"],
)
def test_a_change_that_stops_nothing_is_reported_once(
    functions: Functions,
    statements: list[str],
    drift: list[str],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is in the log and counted by the run that sees it first, and in its batch for good."""
    functions.run()
    alter(functions, *statements)
    capsys.readouterr()

    first = functions.run()

    assert (first["drift"], first["stopped"]) == (drift, {})
    assert manifest(functions, 2)["drift"] == drift
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    counted = [entry["SchemaChanges"] for entry in printed if "SchemaChanges" in entry]
    assert (warnings, counted) == (drift, [[float(len(drift))]])

    again = functions.run()

    assert (again["batch"], again["drift"]) == (None, [])
    assert current(functions.warehouse) == expected(functions.source)


def test_a_stop_alone_is_registered_and_so_is_its_end(functions: Functions) -> None:
    """The newest batch says why a table is left out, and since when, although no row changed."""
    functions.run()
    alter(functions, "ALTER TABLE design RENAME COLUMN file_name TO file")
    during = [functions.run() for _ in range(2)]
    alter(functions, "ALTER TABLE design RENAME COLUMN file TO file_name")
    after = [functions.run() for _ in range(2)]

    assert [run["batch"] for run in during + after] == [2, None, 3, None]
    assert [run["rows"] for run in during + after] == [{}] * 4
    assert during[0]["drift"] == [
        "table design: column file (text) is new",
        "table design: column file_name (text) is gone",
    ]
    stopped, repaired = registry(functions, 2)["design"], registry(functions, 3)["design"]
    assert stopped["error"] == "table design: column file_name is gone: was it dropped or renamed?"
    assert repaired["error"] is None
    assert repaired["fingerprint"] == registry(functions, 1)["design"]["fingerprint"]
    moments = [registry(functions, batch)["design"]["since"] for batch in (1, 2, 3)]
    assert moments == [manifest(functions, batch)["source"]["snapshot_at"] for batch in (1, 2, 3)]
    assert sorted(moments, key=datetime.fromisoformat) == moments
    assert registry(functions, 3)["staff"] == registry(functions, 1)["staff"]


def test_a_table_that_is_gone_keeps_its_columns_in_the_registry(functions: Functions) -> None:
    """When it is back, changes made meanwhile are reported, and its rows arrive."""
    functions.run()
    alter(functions, "ALTER TABLE design RENAME TO put_away")
    functions.run()
    alter(
        functions,
        "ALTER TABLE put_away ADD COLUMN weight integer",
        "UPDATE put_away SET file_name = 'new.json' WHERE design_id = 1",
        "ALTER TABLE put_away RENAME TO design",
    )
    extracted = functions.run()

    away = registry(functions, 2)["design"]
    assert away["columns"] == registry(functions, 1)["design"]["columns"]
    assert away["error"] == "table design is not in schema public of the source (any more)"
    assert extracted["drift"] == [f"table design: column weight (integer) {IS_NEW}"]
    assert current(functions.warehouse) == expected(functions.source)


def test_a_table_that_is_not_carried_costs_no_batch(functions: Functions) -> None:
    """A table that comes and goes between two changes of the shop leaves no trace in the log."""
    functions.run()
    runs = []
    for statement in (REFUND, "ALTER TABLE refund ADD COLUMN note text", "DROP TABLE refund"):
        alter(functions, statement)
        runs.append(functions.extract())

    assert [(run["batch"], run["drift"]) for run in runs] == [(None, [])] * 3


def test_a_table_that_is_not_carried_is_reported_once_and_forgotten_when_it_is_gone(
    functions: Functions,
) -> None:
    """The next batch that the shop makes reports it; no manifest names it once it was dropped."""
    functions.run()
    reported = []
    for statement in (REFUND, "SELECT", "DROP TABLE refund"):
        alter(functions, statement, TOUCH)
        reported.append(functions.extract()["drift"])

    assert reported == [[REFUND_IS_NEW], [], []]
    assert ["refund" in registry(functions, batch) for batch in (2, 3, 4)] == [True, True, False]


def test_runs_side_by_side_report_a_change_once(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that claims the batch reports it; one that comes second has nothing to report."""
    functions.run()
    alter(functions, REFUND, TOUCH)
    claim, reported = BatchLog.claim, []

    def claim_late(log: BatchLog[IngestionManifest], manifest: IngestionManifest) -> bool:
        monkeypatch.setattr(BatchLog, "claim", claim)
        reported.append(functions.extract()["drift"])
        return log.claim(manifest)

    monkeypatch.setattr(BatchLog, "claim", claim_late)
    reported.append(functions.extract()["drift"])

    assert reported == [[REFUND_IS_NEW], []]


def test_a_role_without_any_right_has_its_reasons_in_the_first_batch(functions: Functions) -> None:
    """A lake that begins with tables left out says so, and takes all rows once it may."""
    alter(functions, "REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM source_reader")
    first = functions.run()
    alter(functions, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO source_reader")
    functions.run()

    assert (first["batch"], first["rows"], set(first["stopped"])) == (1, {}, set(TABLES))
    assert {name for name, table in registry(functions, 1).items() if table["error"]} == set(TABLES)
    assert current(functions.warehouse) == expected(functions.source)


def test_a_batch_from_before_there_was_a_registry_is_gone_on_from(functions: Functions) -> None:
    """After an update of the functions nothing is reported, and nothing lost."""
    functions.run()
    former = manifest(functions, 1)
    del former["schemas"], former["drift"]
    for table in former["tables"].values():
        del table["incarnation"]
    functions.s3.put_object(
        Bucket=functions.ingestion, Key="batches/source/0000000001.json", Body=json.dumps(former)
    )
    alter(functions, REFUND, "UPDATE design SET file_name = 'new.json' WHERE design_id = 1")

    updated = functions.run()

    assert (updated["batch"], updated["drift"]) == (2, [])
    assert registry(functions, 2).keys() == {*TABLES, "refund"}
    assert current(functions.warehouse) == expected(functions.source)
    assert functions.run()["batch"] is None


def test_a_replay_leaves_the_registry_as_it_is(functions: Functions) -> None:
    """A batch that comes again has its rows, and no news of the tables."""
    functions.run()
    alter(functions, REFUND, TOUCH)
    functions.run()

    replayed = extract_handler.handler({"replay": 1}, Context("extract"))

    assert (replayed["batch"], replayed["drift"]) == (3, [])
    assert registry(functions, 3) == registry(functions, 2)
    assert functions.run()["batch"] is None
