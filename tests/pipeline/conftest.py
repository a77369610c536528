"""The three functions in this process, on a local AWS and on their own databases."""

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import uuid4

import boto3
import pytest

from deployer.configuration.databases import parse_database_url
from functions.extract import handler as extract_handler
from functions.load import handler as load_handler
from functions.page import handler as page_handler
from functions.reconcile import handler as reconcile_handler
from functions.sources.files import reader as files_reader
from functions.sources.postgres import reader
from functions.sources.rest import reader as rest_reader
from functions.transform import handler as transform_handler
from local.emulator import Emulator
from tests.pipeline.local_process import throwaway_aws
from tests.postgres_fixtures import Source, Warehouse

MINUTE = 60_000


@dataclass
class Context:
    """The invocation context that Lambda passes to a function."""

    function_name: str
    milliseconds: int = 10 * MINUTE
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:eu-west-2:123456789012:function:test"

    def __post_init__(self) -> None:
        self.aws_request_id = str(uuid4())

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


def invoke(handler: Callable[[dict[str, Any], Any], Any], context: Context) -> dict[str, Any]:
    """Invoke a function as a schedule does: the event says nothing."""
    result: dict[str, Any] = handler({}, context)
    return result


@dataclass
class Functions:
    """The functions as they are deployed, but for the process that they run in."""

    source: Source
    warehouse: Warehouse
    s3: Any
    ingestion: str
    processed: str

    def extract(self) -> dict[str, Any]:
        return invoke(extract_handler.handler, Context("extract"))

    def transform(self) -> dict[str, Any]:
        return invoke(transform_handler.handler, Context("transform"))

    def load(self, milliseconds: int = 10 * MINUTE) -> dict[str, Any]:
        return invoke(load_handler.handler, Context("load", milliseconds))

    def run(self) -> dict[str, Any]:
        """Load what has changed into the warehouse; return the result of extract."""
        extracted = self.extract()
        self.transform()
        self.load()
        return extracted

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def objects(self) -> list[str]:
        """Return the keys of everything that the pipeline has written."""
        return self.keys(self.ingestion) + self.keys(self.processed)

    def body(self, bucket: str, key: str) -> bytes:
        found: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return found

    def document(self, bucket: str, key: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body(bucket, key))
        return found


@pytest.fixture(scope="session")
def local_aws() -> Iterator[Emulator]:
    """Run one local AWS for the session."""
    with throwaway_aws() as aws:
        yield aws


@pytest.fixture(scope="session")
def lake_numbers() -> Iterator[int]:
    """Number the lakes of the session."""
    return count(1)


@pytest.fixture
def functions_on(
    local_aws: Emulator, lake_numbers: Iterator[int], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Source, Warehouse], Functions]:
    """Return a function that sets the functions up between two databases, with empty buckets."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in local_aws.environment.items():
        monkeypatch.setenv(name, value)

    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # another test's has other credentials

    def set_up(source: Source, warehouse: Warehouse) -> Functions:
        number = next(lake_numbers)
        s3 = boto3.client("s3")
        functions = Functions(
            source, warehouse, s3, f"lake-{number}-ingestion", f"lake-{number}-processed"
        )
        for bucket in (functions.ingestion, functions.processed):
            s3.create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
            )
        secrets = boto3.client("secretsmanager")
        for name, url in (("source", source.reader_url), ("warehouse", warehouse.loader_url)):
            kind = "postgres" if url.startswith("postgresql:") else "mysql"
            text = json.dumps(parse_database_url(url, kind).secret())
            secrets.create_secret(Name=f"lake-{number}/{name}", SecretString=text)
        environment = {
            "SOURCE_SECRET_ID": f"lake-{number}/source",
            "WAREHOUSE_SECRET_ID": f"lake-{number}/warehouse",
            "WAREHOUSE_SCHEMA": warehouse.schema,
            "INGESTION_BUCKET": functions.ingestion,
            "PROCESSED_BUCKET": functions.processed,
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        forget_clients()
        return functions

    return set_up


def forget_clients() -> None:
    """Let the functions read their settings again, as a cold start does."""
    extract_handler._pipeline.cache_clear()
    extract_handler._log.cache_clear()
    reader._secrets.cache_clear()
    reader._memory.cache_clear()
    files_reader._client.cache_clear()
    rest_reader._pace.cache_clear()
    transform_handler._pipeline.cache_clear()
    transform_handler._logs.cache_clear()
    load_handler._lake.cache_clear()
    reconcile_handler._sides.cache_clear()
    page_handler._lake.cache_clear()


@pytest.fixture
def functions(
    functions_on: Callable[[Source, Warehouse], Functions],
    new_source: Callable[[], Source],
    new_warehouse: Callable[[], Warehouse],
) -> Functions:
    """The functions between a small shop and an empty warehouse."""
    return functions_on(new_source(), new_warehouse())


@pytest.fixture
def seed(say: Callable[[str], None]) -> int:
    """Return the seed of a random run, and show it; HARNESS_SEED chooses one."""
    chosen = int(os.environ.get("HARNESS_SEED") or random.randrange(10**6))
    say(f"HARNESS_SEED={chosen}")
    return chosen
