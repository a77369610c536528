"""Zip codes that are dropped at random, and what table and error objects should then be.

Each file has zip codes that no other has, so that it does not matter in which order files of one
second came.
"""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

import pytest

from local.mysql import run_sql
from tests.aws.zipster_oracle import Row, exact, expected, file_of
from tests.pipeline.conftest import Functions
from tests.pipeline.dropping import versions
from tests.postgres_fixtures import NOWHERE, Source, Warehouse

FILES = 5
CODES = 150  # of a file

SELECT = """
    SELECT ZIPCODE, ZIPCODE_TYPE, CITY, STATE, LOCATION_TYPE, LATITUDE, LONGITUDE,
           ST_Y(COORDS), ST_X(COORDS), LOCATION, DECOMISSIONED
    FROM ZIPCODES
"""


@dataclass
class Zipcodes:
    """The functions of zipster, and the bucket that files are dropped into."""

    functions: Functions
    bucket: str
    random: Random

    def put(self, key: str, body: str) -> None:
        text = body.encode()
        packed = gzip.compress(text) if self.random.random() < 0.2 else text
        self.functions.s3.put_object(Bucket=self.bucket, Key=key, Body=packed)

    def drop(self, number: int | None = None, rows: int = 120) -> str:
        """Drop a file, or another version of it; return its key."""
        if number is None:
            number = self.random.randrange(FILES)
        codes = range(number * CODES, (number + 1) * CODES)
        key = f"day {number}/zips+ü.csv"
        self.put(key, file_of(self.random, self.random.randrange(rows + 1), codes))
        return key

    def differences(self) -> list[str]:
        """Return in what table and error objects are not what all versions of all files say."""
        rows, reports = _expected(versions(self.functions.s3, self.bucket))
        stored = self.stored()
        found = {row[0]: row for row in stored}
        wrong = [
            f"{code}: {rows.get(code)} is wanted, {found.get(code)} is there"
            for code in sorted(rows.keys() | found.keys())
            if rows.get(code) != found.get(code)
        ]
        if len(stored) > len(found):
            wrong.append(f"{len(stored)} rows, of {len(found)} zip codes")
        for key, report in reports.items():
            errors = f"errors/zipcodes/{key.removesuffix('.csv')}.err"
            # A newer version without refused rows leaves those of the one before.
            if report and self.functions.body(self.functions.processed, errors) != report.encode():
                wrong.append(f"{errors} is another one")
        return wrong

    def stored(self) -> list[Row]:
        """Return the rows of the table as texts, with the coordinates that COORDS has.

        Fails for a row whose LATITUDE and LONGITUDE are not the same numbers.
        """
        rows = []
        for row in run_sql(self.functions.warehouse.superuser_url, SELECT):
            *before, latitude, longitude, y, x, location, decommissioned = row
            texts = (f"{y:.2f}", f"{x:.2f}", location, "TRUE" if decommissioned else "FALSE")
            assert (f"{latitude:.2f}", f"{longitude:.2f}") == texts[:2], row
            assert (float(texts[0]), float(texts[1])) == (y, x), row  # the doubles next to them
            rows.append((*map(str, before), *map(str, texts)))
        return rows


@pytest.fixture
def zipcodes_on(
    functions_on: Callable[[Source, Warehouse], Functions], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Warehouse], Zipcodes]:
    """Return what puts the functions of zipster between an empty bucket and a warehouse."""

    def make(warehouse: Warehouse) -> Zipcodes:
        monkeypatch.setenv("PIPELINE", "zipster")
        monkeypatch.setenv("WAREHOUSE_MANAGED", "true")
        functions = functions_on(NOWHERE, warehouse)
        bucket = functions.ingestion.replace("ingestion", "drop")
        functions.s3.create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
        )
        functions.s3.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
        )
        monkeypatch.setenv("DROP_BUCKET", bucket)
        return Zipcodes(functions, bucket, Random(1))

    return make


def _expected(files: Mapping[str, list[bytes]]) -> tuple[dict[str, Row], dict[str, str]]:
    rows: dict[str, Row] = {}
    reports: dict[str, str] = {}
    for key, bodies in files.items():
        for body in bodies:
            accepted, reports[key] = expected(body.decode())
            rows |= {row[0]: exact(row) for row in accepted}
    return rows, reports
