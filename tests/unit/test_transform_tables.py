"""What a batch has to have for transform, and what is said of rows that join in."""

import pyarrow as pa
import pytest

from etl import Table
from functions.common.carried import UNFIT
from functions.common.errors import PipelineError
from functions.common.logs import Logs
from functions.transform.trial import carried
from tests.aws import declared_lake
from tests.aws.declared_lake import Lake, Rows, declared, dim_staff, staff
from tests.unit.fake_bucket import FakeBucket


@pytest.fixture
def lake() -> Lake:
    return Lake(Logs.of(FakeBucket(), FakeBucket(), "shop"))


def test_a_batch_without_a_declared_column_stops_transform(lake: Lake) -> None:
    """Extract of an older version wrote it: rows would get NULL in that column."""
    older = Table("staff", key="id", columns={"id": staff.columns["id"]})
    lake.ingest(tables=(older,), staff=[{"id": 1}])

    with pytest.raises(PipelineError, match="name of type Text"):
        lake.transform()


def test_a_row_is_refused_for_the_value_of_the_row_that_joins_in(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason quotes the value that could not be carried, whichever row has it."""

    def unfit(table: Table, rows: Rows) -> pa.Table:
        noted = ['{"name":"a\\\\xff"}' if row.get("name") is None else None for row in rows]
        found = carried(table, rows)
        return found.set_column(found.num_columns - 1, UNFIT, pa.array(noted, pa.string()))

    monkeypatch.setattr(declared_lake, "carried", unfit)
    lake.pipeline = declared(dim_staff)
    lake.ingest(staff=[{"id": 1, "name": "Ann", "boss_id": 2}, {"id": 2}])

    manifest = lake.transform()

    why = r"name a\xff is not valid UTF-8"
    assert lake.held(manifest, staff) == [
        (1, 1, "dim_staff", f"boss 2 {why}"),
        (2, 1, "dim_staff", why),
    ]
