"""A declaration that changes, or asks for what a warehouse does not have."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from etl import (
    BigInteger,
    Calendar,
    DeclarationError,
    Integer,
    Json,
    Table,
    TargetTable,
    Text,
    history,
    latest,
)
from functions.common.errors import WarehouseSetupError
from tests.pipeline.target_scene import Rows, Scene, rows_of
from tests.postgres_fixtures import Warehouse

TYPES = {"id": pa.int32(), "word": pa.string()}
COLUMNS = {"id": Integer(), "word": Text(nullable=True)}
THING = Table("thing", key="id", columns=COLUMNS)

New = Callable[..., Warehouse]


def words(*words: str) -> pa.Table:
    return rows_of(TYPES, *enumerate(words))


def test_a_column_that_is_declared_later_is_added(new_managed_warehouse: New) -> None:
    """It is NULL in the rows that are there, until they come again; views show it, too."""
    scene = Scene(new_managed_warehouse(), (latest(THING), history(THING, name="past")))
    scene.batch(thing=words("a", "b"), past=words("a", "b"))
    scene.load()
    wider = Table("thing", key="id", columns={**COLUMNS, "Größe: %": BigInteger()})
    scene.declare(latest(wider), history(wider, name="past"))
    new = words("a").append_column("Größe: %", pa.array([5], pa.int64()))
    scene.batch(thing=new, past=new)
    scene.load()

    expected = [[0, "a", 5], [1, "b", None]]
    assert scene.query("SELECT * FROM thing ORDER BY 1") == expected
    assert scene.query('SELECT id, word, "Größe: %" FROM current_past ORDER BY 1') == expected
    assert scene.query("SELECT count(*) FROM past") == [[3]]


ALTER = 'ALTER TABLE "public"."thing" ALTER COLUMN'


@pytest.mark.parametrize(
    ("sql", "what", "remedy"),
    [
        (
            "ALTER TABLE thing ALTER word TYPE varchar(9)",
            "is character varying(9) and declared as text",
            f'{ALTER} "word" TYPE text',
        ),
        (
            "ALTER TABLE thing ALTER word SET NOT NULL",
            "may not be NULL and is declared as nullable",
            f'{ALTER} "word" DROP NOT NULL',
        ),
        (
            "ALTER TABLE thing ADD more integer NOT NULL",
            "is not declared and may not be NULL",
            f'{ALTER} "more" DROP NOT NULL',
        ),
    ],
)
def test_a_managed_table_that_differs_otherwise_stops_the_load(
    new_managed_warehouse: New, sql: str, what: str, remedy: str
) -> None:
    """Nothing is dropped or converted: the line says what to do, and with it the load goes on."""
    scene = Scene(new_managed_warehouse(), (latest(THING),))
    scene.load()
    scene.query(sql)

    with pytest.raises(WarehouseSetupError) as caught:
        scene.load()

    assert f" of warehouse table public.thing {what}: {remedy}, or " in str(caught.value)
    scene.query(remedy)
    scene.batch(thing=words("a"))
    scene.load()
    assert scene.query("SELECT id, word FROM thing") == [[0, "a"]]


def test_columns_that_the_installation_added_are_left_alone(new_managed_warehouse: New) -> None:
    """A column with a default, or that may be NULL, is up to its owner."""
    scene = Scene(new_managed_warehouse(), (latest(THING),))
    scene.load()
    scene.query("ALTER TABLE thing ADD note text, ADD at timestamptz NOT NULL DEFAULT now()")
    scene.batch(thing=words("a"))

    assert scene.load() == [(1, "new")]


def test_a_table_without_columns_cannot_be_created(new_managed_warehouse: New) -> None:
    """One clear line says so, and nothing is created."""

    @latest(key="id")
    def made(thing: Any) -> Any:
        return thing

    scene = Scene(new_managed_warehouse(), (latest(THING), made))

    with pytest.raises(DeclarationError, match="target table made cannot be created: declare its"):
        scene.load()
    assert (
        scene.query("SELECT relname::text FROM pg_class WHERE relname IN ('thing', 'made')") == []
    )


def prepared(new_managed_warehouse: New, *tables: TargetTable) -> Scene:
    """Return a scene with a prepared warehouse that has the table `thing` only."""
    scene = Scene(new_managed_warehouse(), tables, managed=False)
    scene.query(
        "CREATE TABLE thing (id int, word text); GRANT SELECT, INSERT, UPDATE ON thing"
        " TO warehouse_loader"
    )
    return scene


def test_an_optional_table_that_the_warehouse_lacks_is_left_out(
    new_managed_warehouse: New, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so, everything else goes on, and all of it comes once the table is there."""
    past = history(THING, name="past", optional=True, other_names=("bygone",))
    scene = prepared(new_managed_warehouse, latest(THING), past)
    for word in "aba":
        scene.batch(thing=words(word), past=words(word))
    assert scene.load() == [(1, "new"), (2, "new"), (3, "new")]
    assert caplog.messages.count("the warehouse lacks optional tables") == 1

    scene.query(
        "CREATE TABLE bygone (n serial, id int, word text);"
        " GRANT SELECT, INSERT ON bygone TO warehouse_loader;"
        " GRANT USAGE ON SEQUENCE bygone_n_seq TO warehouse_loader"
    )
    assert scene.load() == [(1, "again"), (2, "again"), (3, "again")]
    assert scene.query("SELECT word FROM bygone ORDER BY n") == [["a"], ["b"], ["a"]]
    assert scene.load() == []

    # A table that is renamed for a while and back again does not get its history twice.
    scene.query("ALTER TABLE bygone RENAME TO aside")
    scene.batch(thing=words("c"), past=words("c"))
    scene.load()
    scene.query("ALTER TABLE aside RENAME TO bygone")
    scene.load()
    assert scene.query("SELECT word FROM bygone ORDER BY n") == [["a"], ["b"], ["a"], ["c"]]


def test_a_table_that_is_needed_stops_the_load(new_managed_warehouse: New) -> None:
    """Unless it is optional, its name is in the line that says what to ask for."""
    scene = prepared(new_managed_warehouse, latest(THING), latest(THING, name="other"))

    with pytest.raises(
        WarehouseSetupError, match="table other is not in schema public of the ware"
    ):
        scene.load()


def test_a_table_that_is_declared_no_longer_is_left_as_it_is(new_managed_warehouse: New) -> None:
    """Manifests may still name it; when it is declared again, it goes on without a repetition."""
    past = history(THING, name="past")
    scene = Scene(new_managed_warehouse(), (latest(THING), past))
    for word in "aba":
        scene.batch(thing=words(word), past=words(word))
    scene.load()
    scene.batch(thing=words("c"), past=words("c"))
    scene.declare(latest(THING))
    scene.batch(thing=words("d"))
    assert scene.load() == [(4, "new"), (5, "new")]
    assert "past" not in scene.markers[-1].has
    assert scene.query("SELECT count(*) FROM past") == [[3]]

    scene.declare(latest(THING), past)
    every = [words(word) for word in ("a", "b", "a", "c", "d")]
    scene.batch(thing=words("d"), past=Rows(every, filled=True))
    scene.load()

    assert scene.query("SELECT word FROM past ORDER BY past_record_id") == [
        ["a"], ["b"], ["a"], ["c"], ["d"]
    ]  # fmt: skip


def test_a_pipeline_needs_no_history(new_managed_warehouse: New) -> None:
    """Without one there is no calendar and no view, and a batch comes once."""
    scene = Scene(new_managed_warehouse(), ())
    scene.declare(latest(THING), calendar=Calendar("days"))
    scene.batch(thing=words("a"))

    assert scene.load() == [(1, "new")]
    assert scene.load() == []
    assert set(scene.markers[-1].has) == {"thing"}


def test_a_key_that_is_the_whole_row_is_loaded_once(new_managed_warehouse: New) -> None:
    """A table that only says which pairs there are has nothing beside its key to differ in."""
    pair = Table("pair", key=("id", "word"), columns={"id": Integer(), "word": Text()})
    scene = Scene(new_managed_warehouse(), (latest(pair), history(pair, name="pairs")))
    for _ in range(2):
        scene.batch(pair=words("a", "b"), pairs=words("a", "b"))
        scene.load()

    assert scene.query("SELECT id, word FROM pair ORDER BY 1") == [[0, "a"], [1, "b"]]
    assert scene.query("SELECT id, word FROM pairs ORDER BY 1") == [[0, "a"], [1, "b"]]


def test_a_document_as_the_only_column_is_compared(new_managed_warehouse: New) -> None:
    """PostgreSQL has no equality of json: its text decides whether it differs."""
    page = Table("page", key="id", columns={"id": Integer(), "word": Json()})
    scene = Scene(new_managed_warehouse(), (history(page, name="pages"),))
    for document in ('{"a": 1}', '{"a": 1}', '{"a":  1}'):
        scene.batch(pages=words(document))
        scene.load()

    found = scene.query("SELECT word::text FROM pages ORDER BY pages_record_id")
    assert found == [['{"a": 1}'], ['{"a":  1}']]


def test_two_views_of_one_name_are_refused(new_managed_warehouse: New) -> None:
    """The current states of two histories are never shown under one name by turns."""
    tables = (history(THING, name="fact_thing"), history(THING, name="thing"))
    scene = Scene(new_managed_warehouse(), tables)

    with pytest.raises(
        WarehouseSetupError, match="views of fact_thing and thing would both be call"
    ):
        scene.load()


def test_a_view_of_a_long_name_is_made_once(
    new_managed_warehouse: New, caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL cuts a name at 63 bytes, and the view is found under what is left of it."""
    scene = Scene(new_managed_warehouse(), (history(THING, name="ä" * 31),))
    for _ in range(2):
        scene.load()

    assert caplog.messages.count("view made") == 1


def test_nothing_is_loaded_where_no_table_is_there(new_managed_warehouse: New) -> None:
    """Optional tables may all be missing: then batches wait for them, and no marker is written."""
    scene = Scene(new_managed_warehouse(), (latest(THING, optional=True),), managed=False)
    scene.batch(thing=words("a"))

    assert (scene.load(), scene.load()) == ([], [])
    assert scene.markers == []


def becoming_managed(new_managed_warehouse: New, *tables: TargetTable) -> Scene:
    """Return a scene with a history that a batch has removed a row from, before it is managed."""
    scene = Scene(new_managed_warehouse(), tables, managed=False)
    scene.query(
        "CREATE TABLE past (n serial, id int, word text);"
        " ALTER TABLE past OWNER TO warehouse_loader"
    )
    scene.batch(past=words("a", "b", "c"))
    scene.batch(past=Rows(gone=rows_of({"id": pa.int32()}, (1,), (2,))))
    return scene


def recorded(scene: Scene) -> list[list[Any]]:
    """Return the deleted keys, and whether they have returned."""
    return scene.query(
        "SELECT business_id, batch, seen_again_at IS NOT NULL FROM deleted_rows ORDER BY 1"
    )


def test_deletions_are_recorded_where_a_table_is_declared_with_the_setting(
    new_managed_warehouse: New,
) -> None:
    """A table that has no batch yet does not hide that the others have deleted rows."""
    past = history(THING, name="past")
    scene = becoming_managed(new_managed_warehouse, past)
    scene.load()
    scene.managed = True
    scene.declare(past, latest(THING))
    scene.load()
    assert recorded(scene) == [["1", 2, False], ["2", 2, False]]

    scene.batch(thing=Rows([words("a")], filled=True))
    assert scene.load() == [(3, "new")]
    assert scene.query("SELECT id FROM current_past") == [[0]]


def test_rows_that_returned_are_shown_where_a_table_is_created_with_the_setting(
    new_managed_warehouse: New,
) -> None:
    """The new table needs only some of the batches; what the others say of keys is recorded."""
    tables = history(THING, name="past"), latest(THING, optional=True)
    scene = becoming_managed(new_managed_warehouse, *tables)
    scene.batch(past=rows_of(TYPES, (1, "b")))
    scene.batch(thing=words("a"))
    scene.load()
    assert scene.steps[-1].marker.has == {"past": 4}

    scene.managed = True
    scene.load()

    assert recorded(scene) == [["1", 2, True], ["2", 2, False]]
    assert scene.query("SELECT id FROM current_past ORDER BY 1") == [[0], [1]]
    assert scene.query("SELECT id FROM thing") == [[0]]
