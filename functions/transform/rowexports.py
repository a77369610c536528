"""Write rows of target tables as CSV files of one row each for people, `exports/<name>.csv`.

The pipeline never reads them. They are written before the batch's manifest, and a batch that is
remodelled again writes the same files again.
"""

import csv
import hashlib
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from etl import Pipeline, RowExport, TargetTable
from functions.common.errors import PipelineCodeError
from functions.common.storage import Bucket

UPLOADS = 8  # at a time; a client of boto3 has ten connections

_ROWS = 200  # held as Python values at a time
_PART_CHARACTERS = 200  # of a part of a key, of which S3 takes 1,024 in all
_NUMBER = re.compile(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?")


class RowExports:
    """Writes those rows of a pipeline's target tables that it declares as exports."""

    def __init__(self, bucket: Bucket, pipeline: Pipeline) -> None:
        self._bucket = bucket
        self._declared = [each for target in pipeline.targets for each in target.row_exports]

    def write(self, target: TargetTable, rows: pa.Table) -> None:
        """Write the files of a target table's rows, if it has exports; raise PipelineCodeError."""
        for export in self._declared:
            if export.table is target:
                for part in rows.to_batches(_ROWS):
                    self._write(export, part.to_pylist())

    def _write(self, export: RowExport, rows: list[dict[str, Any]]) -> None:
        files = [(key_of(export, row), body) for row in rows if (body := _body(export, row))]
        with ThreadPoolExecutor(UPLOADS) as threads:
            for _ in threads.map(lambda file: self._bucket.put(*file), files):
                pass


def key_of(export: RowExport, row: Mapping[str, Any]) -> str:
    """Return the key of a row's file; whatever its values, each is one part of the path.

    charge.succeeded, evt_1 -> exports/charge.succeeded/evt_1.csv
    """
    return f"exports/{'/'.join(_part(str(row[column])) for column in export.name)}.csv"


def _part(text: str) -> str:
    """Return a text as a part of a key: no slash, and not `..`, which clients resolve."""
    part = quote(text, safe="")
    if not part.strip("."):
        part = part.replace(".", "%2E") or "%00"
    if len(part) > _PART_CHARACTERS:
        part = f"{part[:_PART_CHARACTERS]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return part


def _body(export: RowExport, row: Mapping[str, Any]) -> bytes | None:
    """Return the content of a row's file; None if it has no file."""
    try:
        cells = export.cells(row)
    except Exception as error:  # a function of the pipeline may raise anything
        raise PipelineCodeError(
            f"the export of rows of {export.table}: its function raised {type(error).__name__}: "
            "correct it"
        ) from error
    if not cells:
        return None
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_harmless, cells))
    writer.writerow(map(_harmless, cells.values()))
    return text.getvalue().encode()


def _harmless(cell: str | None) -> str:
    """Return a cell that no spreadsheet reads as a formula.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    text = cell or ""
    is_formula = text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text
