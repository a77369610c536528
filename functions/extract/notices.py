"""The notices of a file's first step: it is received."""

from collections.abc import Iterator

from functions.common.accounts import FileRead
from functions.common.manifests import IngestionManifest
from functions.common.notices import Notice, by_file, counted, step
from functions.common.text import unlinked


def step_notices(manifest: IngestionManifest) -> Iterator[Notice]:
    """Yield the notice of each file of a batch."""
    for files in by_file(manifest.files):
        lines = (line for each in files for line in _received(each, manifest.batch))
        yield step(1, "received", files, lines)


def _received(read: FileRead, batch: int) -> Iterator[str]:
    file = read.file
    yield (
        f"s3://{file.bucket}/{unlinked(file.key)}, {counted(file.size, 'byte')}, came at "
        f"{file.modified:%Y-%m-%d %H:%M:%S} UTC."
    )
    if read.error is not None:
        yield f"It cannot be used: {read.error}"
    yield f"Batch {batch} has {counted(read.rows, 'row')} of it."
