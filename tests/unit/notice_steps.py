"""Steps of a load, for the notices of them."""

from collections.abc import Sequence
from typing import Any

from etl import Integer, PostgresWarehouse, Table, latest
from functions.common.accounts import FileAccount
from functions.common.loaded import LoadedMarker
from functions.common.manifests import ProcessedManifest
from functions.load.loading import Step
from functions.load.notices import notice
from functions.targets import Applied

TARGET = PostgresWarehouse(
    "warehouse", (latest(Table("thing", key="id", columns={"id": Integer()})),)
)


def notice_of(
    marker: LoadedMarker,
    files: Sequence[FileAccount] = (),
    target: PostgresWarehouse = TARGET,
    **applied: Any,
) -> tuple[str, str]:
    """Return the subject and the text of the notice of a batch."""
    return notice(step_of(marker, files, **applied), target, "processed")


def step_of(marker: LoadedMarker, files: Sequence[FileAccount] = (), **applied: Any) -> Step:
    """Return the step that loaded a batch."""
    manifest = ProcessedManifest(
        batch=marker.batch,
        written_at=marker.written_at,
        run="run",
        source=marker.source,
        tables={},
        balance={},
        quarantine={},
        absent={},
        files=list(files),
    )
    return Step(marker, "new", manifest, Applied(marker.rows, {}, {}, **applied))
