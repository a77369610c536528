"""A file that is larger than the memory of the function that reads it."""

import os
import subprocess
import sys
from pathlib import Path

READING = """
import resource
from datetime import UTC, datetime

from etl import Feed, Files, Integer, Table, Text
from functions.common.accounts import FileVersion
from functions.common.storage import Bucket
from functions.sources.files import reading
from functions.sources.files.listing import Place

ROW = b'%d,2024-01-01,"a text, with a ""quote"" and\\na line break",12.50\\n'


def pieces(place, file):
    yield b"id,day,note,price\\n"
    for _ in range(75):
        yield b"".join(ROW % number for number in range(70_000))


class Nowhere(Bucket):
    def put_new(self, key, body):
        return True


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


reading.bytes_of = pieces
table = Table("notes", key="id", columns={"id": Integer(), "note": Text()})
now = datetime.now(UTC)
file = FileVersion("drop", "notes.csv", None, "etag", 0, now)
lake = reading.Lake(Nowhere(None, "lake"), "drop", 1, now.date(), None)
before = peak()
read, _ = lake.read(Place(None, "drop", "", "", ""), Feed(table, "notes.csv"), file)
print(read.rows, peak() - before)
"""


def test_a_file_larger_than_memory_is_read(tmp_path: Path) -> None:
    """300 MB take less than 150 MB, as a file of any size does: it is never there as a whole."""
    done = subprocess.run(
        [sys.executable, "-c", READING],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"MALLOC_ARENA_MAX": "2"},
        cwd=Path(__file__).parents[2],
    )

    assert done.returncode == 0, done.stderr
    rows, growth = map(int, done.stdout.split())
    assert rows == 75 * 70_000
    assert growth < 150
