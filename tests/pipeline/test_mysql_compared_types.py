"""What reconcile finds in MySQL, by the types of keys and values."""

from collections.abc import Callable
from dataclasses import replace as replace_field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from etl import (
    BigInteger,
    Boolean,
    Bytes,
    Column,
    Date,
    Double,
    Integer,
    Json,
    Numeric,
    Point,
    Real,
    Table,
    Text,
    Time,
    Timestamp,
    Uuid,
    latest,
    replace,
)
from etl.targets import Declare
from functions.common.keys import keys_of
from functions.targets import Counted, Disagreements
from tests.pipeline.mysql_comparing import compared, comparing
from tests.pipeline.mysql_scene import MysqlScene
from tests.pipeline.target_scene import Rows, rows_of
from tests.postgres_fixtures import Warehouse

New = Callable[..., Warehouse]

KEYS: dict[str, tuple[Column, pa.DataType, list[Any]]] = {
    "dates": (Date(), pa.date32(), [date(1, 1, 1), date(9999, 12, 31)]),
    "moments": (
        Timestamp(),
        pa.timestamp("us"),
        [datetime(2024, 2, 29, 1), datetime(2024, 2, 29, 1, 0, 0, 1)],
    ),
    "times": (Time(), pa.time64("us"), [time(0), time(23, 59, 59, 999999)]),
    "amounts": (Numeric(12, 2), pa.decimal128(12, 2), [Decimal("-0.10"), Decimal("1e9")]),
    "long amounts": (Numeric(30, 10), pa.decimal128(30, 10), [Decimal("1e-10"), Decimal(0)]),
    "big numbers": (BigInteger(), pa.int64(), [-(2**63), 2**63 - 1]),
    "truths": (Boolean(), pa.bool_(), [True, False]),
    "uuids": (Uuid(), pa.string(), [str(UUID(int=1)), str(UUID(int=2**128 - 1))]),
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("is_alone", [True, False], ids=["alone", "with another"])
def test_keys_of_every_type_are_written_as_elsewhere(
    new_mysql_warehouse: New, kind: str, is_alone: bool
) -> None:
    """So that what the logs say of a key explains what is found of it here."""
    column, arrow, values = KEYS[kind]
    key = ("a",) if is_alone else ("a", "b")
    table = Table("thing", key=key, columns={"a": column, "b": Text(), "c": Integer()})
    scene = MysqlScene(new_mysql_warehouse(), (latest(table),))
    types = {"a": arrow, "b": pa.string(), "c": pa.int32()}
    there = rows_of(types, *((value, "x,\\", 1) for value in values))
    scene.batch(thing=there)
    scene.load()
    assert compared(scene, [there]) == Counted(2, 2)

    keys = keys_of(there, key)

    def explain(found: Disagreements) -> None:
        gone = pa.concat_arrays(list(found.in_target_only()))
        assert set(gone.to_pylist()) == set(keys.to_pylist())
        found.explain([keys[:1]], [keys[1:]], keys[:0])

    counted = compared(scene, [there.slice(0, 0)], explain=explain)
    assert (counted.pending, counted.deleted, counted.extra) == (1, 1, 0)

    counted = compared(scene, [there.slice(0, 0)], keys.to_pylist())
    assert (counted.different, counted.quarantined, counted.extra) == (2, 2, 0)


VALUES: dict[str, tuple[Column, pa.DataType, Any, Any]] = {
    "json": (Json(), pa.string(), '{"a": 1}', '{"a": 1.0}'),
    "points": (Point(), pa.string(), "(1.5,2)", "(1.5,2.0000000001)"),
    "floats": (Real(), pa.float32(), 0.1, 0.10000001),
    "doubles": (Double(), pa.float64(), 0.1, 0.10000000000000002),
    "bytes": (Bytes(), pa.string(), "\\x00ff", "\\x00fe"),
    "moments": (
        Timestamp(),
        pa.timestamp("us"),
        datetime(2024, 1, 1),
        datetime(2024, 1, 1, 0, 0, 1),
    ),
}


@pytest.mark.parametrize("way", [latest, replace], ids=["by key", "by line"])
@pytest.mark.parametrize("kind", VALUES)
def test_values_of_every_type_are_compared_exactly(
    new_mysql_warehouse: New, kind: str, way: Declare
) -> None:
    """A difference in the last place is one, and no value differs from itself or NULL from NULL."""
    column, arrow, one, other = VALUES[kind]
    key = "id" if way is latest else ()
    columns = {"id": Integer(), "value": replace_field(column, nullable=True)}
    scene = MysqlScene(new_mysql_warehouse(), (way(Table("thing", key=key, columns=columns)),))
    types = {"id": pa.int32(), "value": arrow}
    there = rows_of(types, (1, one), (2, one), (3, None))
    scene.batch(thing=Rows([there], snapshot=way is replace))
    scene.load()
    wanted = rows_of(types, (1, one), (2, other), (3, None))
    if way is latest:
        assert compared(scene, [there]) == Counted(3, 3)
        assert compared(scene, [wanted]).examples == {"different": [2]}
        return
    with comparing(scene) as (target, mapping):
        assert target.lines(mapping, [there]) == Counted(3, 3)
        assert target.lines(mapping, [wanted]) == Counted(3, 3, missing=1, extra=1)
