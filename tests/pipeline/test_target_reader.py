"""Reading a target by SQL of a pipeline: names as declared, exact values, nothing written."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from etl import (
    BigInteger,
    Boolean,
    Date,
    Double,
    Integer,
    Numeric,
    Table,
    Text,
    Timestamp,
    history,
    latest,
)
from etl.statements import parsed
from functions.common.errors import (
    DatabaseStatementError,
    DatabaseUnavailableError,
    PipelineError,
    WarehouseSetupError,
)
from functions.targets.reading import Query, Rows, reading
from local.connection import connect
from tests.pipeline.target_scene import Rows as Changes
from tests.pipeline.target_scene import Scene, rows_of
from tests.postgres_fixtures import Warehouse

PAID = Table("paid", key="id", columns={"id": Integer(), "amount": Numeric(), "at": Text()})
RATE = Table("rate", key="day", columns={"day": Date(), "rate": Numeric(12, 6)})
paid = history(PAID, name="fact_paid", other_names=("paid_facts",), other_columns={"at": "on"})
rates = latest(RATE, optional=True)
SCHEMA = {"id": pa.int32(), "amount": pa.decimal128(10, 2), "at": pa.string()}


@pytest.fixture
def scene(new_managed_warehouse: Callable[..., Warehouse]) -> Scene:
    """A warehouse in which row 1 was changed, and row 3 was deleted."""
    scene = Scene(new_managed_warehouse(), (paid,))
    rows = [(1, Decimal("1.10"), "a"), (2, Decimal("2.20"), "b"), (3, Decimal("3.30"), "c")]
    scene.batch(fact_paid=rows_of(SCHEMA, *rows))
    changed = rows_of(SCHEMA, (1, Decimal("1.11"), "a"))
    scene.batch(fact_paid=Changes([changed], gone=rows_of({"id": pa.int32()}, (3,))))
    scene.load()
    return scene


@contextmanager
def opened(scene: Scene, seconds: float = 20) -> Iterator[Any]:
    with reading(scene.target).reader(scene.place, seconds) as reader:
        yield reader


def asked(scene: Scene, sql: str, **options: Any) -> Rows:
    with opened(scene) as reader, reader.snapshot() as snapshot:
        found: Rows = snapshot.rows(Query(parsed(sql), **options))
        return found


def test_the_current_state_is_without_older_and_deleted_records(scene: Scene) -> None:
    """`current_<history>` has the newest record of each key that the source still has."""
    found = asked(scene, "SELECT id, amount FROM current_paid ORDER BY id")
    assert found == Rows(("id", "amount"), [[1, "1.11"], [2, "2.20"]], is_cut=False)


def test_other_names_are_those_of_the_declaration(scene: Scene) -> None:
    """A prepared warehouse may call tables and columns otherwise, and lack the deleted rows."""
    scene.query("DROP VIEW current_paid; DROP TABLE deleted_rows")
    scene.query(
        'ALTER TABLE fact_paid RENAME TO paid_facts; ALTER TABLE paid_facts RENAME at TO "on"'
    )
    sql = "SELECT id, p.at FROM {} AS p ORDER BY id DESC, at"
    assert asked(scene, sql.format("current_paid")).rows == [[3, "c"], [2, "b"], [1, "a"]]
    assert len(asked(scene, sql.format("fact_paid")).rows) == 4
    assert asked(scene, "SELECT business_id FROM deleted_rows").rows == []


def test_an_optional_table_that_is_not_there_is_empty(scene: Scene) -> None:
    """SQL that joins it works before it is set up; its columns have their types."""
    scene.managed = False
    scene.declare(paid, rates)
    sql = "SELECT id, amount * rate AS more FROM current_paid LEFT JOIN rate ON day = '2024-01-01'"
    assert asked(scene, f"{sql} ORDER BY id").rows == [[1, None], [2, None]]


def test_a_table_that_lacks_is_named(new_managed_warehouse: Callable[..., Warehouse]) -> None:
    """Before the first load there is nothing to read, which is said."""
    scene = Scene(new_managed_warehouse(), (paid,))
    with pytest.raises(WarehouseSetupError, match=r"table fact_paid is not in .* has a batch been"):
        asked(scene, "SELECT * FROM current_paid")


def test_a_current_state_is_not_shown_without_knowing_what_was_deleted(scene: Scene) -> None:
    """A role that may not read the deleted rows is refused, and not shown them as if there."""
    scene.query("CREATE ROLE looker LOGIN PASSWORD 'looker'")
    try:
        scene.query(f'GRANT USAGE ON SCHEMA "{scene.warehouse.schema}" TO looker')
        scene.query("GRANT SELECT ON fact_paid TO looker")
        scene.query(f'GRANT CONNECT ON DATABASE "{scene.warehouse.database}" TO looker')
        url = scene.warehouse.superuser_url.partition("@")[2]
        looker = Warehouse("", scene.warehouse.schema, f"postgresql://looker:looker@{url}", "")
        theirs = Scene(looker, (paid,))
        with pytest.raises(WarehouseSetupError, match=r"no right to SELECT on .*deleted_rows"):
            asked(theirs, "SELECT * FROM current_paid")
        assert len(asked(theirs, "SELECT * FROM fact_paid").rows) == 4
    finally:
        scene.query("DROP OWNED BY looker; DROP ROLE looker")


def test_values_are_exact(scene: Scene) -> None:
    """Decimals keep their digits, days and moments are ISO 8601, and NaN is no number of JSON."""
    sql = """SELECT 1.10::numeric, 12345678901234567890.000000001, 9007199254740993::bigint,
        date '2024-02-29', timestamp '2024-02-29 23:59:59.001', NULL, true, 0.1::float8,
        'NaN'::float8, timestamptz '2024-02-29 23:59:59.5-01', 'NaN'::numeric, '{"a": 1.10}'::json
    """
    assert asked(scene, sql).rows == [[
        "1.10", "12345678901234567890.000000001", 9007199254740993, "2024-02-29",
        "2024-02-29T23:59:59.001", None, True, 0.1, "NaN", "2024-03-01T00:59:59.5Z", "NaN",
        '{"a": 1.10}',
    ]]  # fmt: skip


def test_columns_have_the_types_that_are_asked_for(scene: Scene) -> None:
    """And no others; one that the SELECT does not have is an error."""
    columns = {"n": Numeric(10, 2), "d": Date(), "f": Double(), "b": Boolean(), "t": Timestamp()}
    sql = "SELECT 1 AS n, '2024-01-31' AS d, 7 AS more, 2 AS f, 1 AS b, date '2024-01-31' AS t"
    found = asked(scene, sql, columns=columns)
    assert found.columns == tuple(columns)
    assert found.rows == [["1.00", "2024-01-31", 2.0, True, "2024-01-31T00:00:00"]]
    with pytest.raises(DatabaseStatementError, match=r"made\.absent does not exist"):
        asked(scene, "SELECT 1 AS n", columns={"absent": Integer()})


def test_values_are_bound_and_never_become_sql(scene: Scene) -> None:
    """Whatever a text is, it is the value of its name, wherever and however often that stands."""
    odd = "'; DROP TABLE fact_paid; -- $1 :n \\ \" \0"[:-1]
    found = asked(
        scene,
        "SELECT :text AS a, ':text' AS b, :n + 1 AS c, :text || :n::text AS d, :day - 1 AS e",
        values={"text": odd, "n": "41", "day": "2024-03-01", "unused": "x"},
        types={"n": BigInteger(), "day": Date()},
    )
    assert found.rows == [[odd, ":text", 42, f"{odd}41", date(2024, 2, 29).isoformat()]]


def test_rows_keep_their_order_and_are_cut(scene: Scene) -> None:
    """The first rows are those of the SELECT's own order, and it is said that there are more."""
    found = asked(scene, "SELECT n FROM generate_series(1, 9) AS n ORDER BY -n", at_most=3)
    assert (found.rows, found.is_cut) == ([[9], [8], [7]], True)
    assert not asked(scene, "SELECT 1 UNION ALL SELECT 2", at_most=2).is_cut


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT setval('s', 7)",
        "SELECT pg_catalog.lo_create(1)",
        "WITH gone AS (DELETE FROM fact_paid RETURNING id) SELECT * FROM gone",
        "DELETE FROM fact_paid",
    ],
)
def test_nothing_can_be_written(scene: Scene, sql: str) -> None:
    """Also by an account that could: the loader's own."""
    scene.query("CREATE SEQUENCE s; GRANT ALL ON s TO PUBLIC")
    with pytest.raises(PipelineError):
        asked(scene, sql)
    assert scene.query("SELECT count(*) FROM fact_paid") == [[4]]


def test_a_query_that_fails_leaves_the_others(scene: Scene) -> None:
    """The snapshot goes on, and an error quotes no value."""
    with opened(scene) as reader, reader.snapshot() as snapshot:
        with pytest.raises(DatabaseStatementError) as raised:
            snapshot.rows(Query(parsed("SELECT CAST('secret' AS integer)")))
        assert "secret" not in str(raised.value)
        assert snapshot.rows(Query(parsed("SELECT count(*) FROM fact_paid"))).rows == [[4]]


def test_a_statement_ends_in_time(scene: Scene) -> None:
    """The server cancels it, and the connection goes on."""
    with opened(scene, seconds=2) as reader:
        with (
            reader.snapshot() as snapshot,
            pytest.raises(DatabaseUnavailableError, match="timeout"),
        ):
            snapshot.rows(Query(parsed("SELECT pg_sleep(30)")))
        assert reader.state()


def test_a_snapshot_is_one_moment_and_states_tell_moments_apart(scene: Scene) -> None:
    """What is committed meanwhile does not show, and afterwards the state is another one."""
    count = Query(parsed("SELECT count(*) FROM current_paid"))
    with opened(scene) as reader:
        with reader.snapshot() as snapshot:
            before, rows = snapshot.state(), snapshot.rows(count).rows
            scene.batch(fact_paid=rows_of(SCHEMA, (4, Decimal("4.40"), "d")))
            scene.load()
            assert snapshot.rows(count).rows == rows == [[2]]
            assert snapshot.state() == before
        after = reader.state()
        with reader.snapshot() as snapshot:
            assert snapshot.state() == after != before
            assert snapshot.rows(count).rows == [[3]]
            assert snapshot.loaded(["source", "other"])["source"].batch == 3
        assert reader.state() == after


def test_an_uncommitted_change_shows_in_no_state(scene: Scene) -> None:
    """The state differs before and after its commit, so that no answer outlives it."""
    with opened(scene) as reader, ExitStack() as undo:
        writer = connect(scene.warehouse.superuser_url)
        undo.callback(writer.close)
        writer.run("BEGIN")
        writer.run(
            f"INSERT INTO \"{scene.warehouse.schema}\".deleted_rows VALUES ('x','1',now(),1)"
        )
        while_open = reader.state()
        writer.run("COMMIT")
        assert reader.state() != while_open


def test_a_prepared_warehouse_does_not_say_what_was_loaded(scene: Scene) -> None:
    """Then markers have to say it."""
    scene.query("DROP TABLE loaded_batches")
    with opened(scene) as reader, reader.snapshot() as snapshot:
        assert not reader.records_batches
        assert snapshot.loaded(["source"]) == {}
