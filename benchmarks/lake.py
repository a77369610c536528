"""The pipeline's side of a benchmark: buckets and secrets on the local AWS, functions on them."""

import json
import os
import subprocess  # nosec B404
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import Any, Self

import boto3

from benchmarks.databases import Database, Databases
from benchmarks.measuring import ROOT, BenchmarkError, Measurement
from deployer.configuration.databases import parse_database_url
from local.emulator import REGION, Emulator

_numbers = count(1)


@dataclass(frozen=True)
class Call:
    """The result and cost of one invocation of a function, and what its process had used by then.

    The CPU seconds of the process count from its start: after the imports, at the first query
    (None for one that makes none) and after the call.
    """

    result: dict[str, Any]
    measurement: Measurement
    import_seconds: float
    import_cpu: float
    first_query_cpu: float | None
    process_cpu: float


class FunctionProcess:
    """A function in its own process: the first call is cold, the others are warm.

    One that is `ready` has its clients of AWS before the first call.
    """

    def __init__(
        self, use: str, environment: Mapping[str, str], databases: Databases, *, ready: bool
    ) -> None:
        self.use = use
        self._databases = databases
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed when it exits
        self._process = subprocess.Popen(  # nosec B603
            [
                sys.executable,
                "-m",
                "benchmarks.function_process",
                use,
                *(["ready"] if ready else []),
            ],
            env=dict(environment),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def __enter__(self) -> Self:
        """Nothing more: it has begun."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the process."""
        self._process.communicate()
        self._errors.close()

    def call(self, event: Mapping[str, Any] | None = None) -> Call:
        """Invoke the function; raise BenchmarkError with its traceback when it fails."""
        if self._process.stdin is None or self._process.stdout is None:
            raise BenchmarkError(f"{self.use} has no pipes")
        before = self._databases.cpu_seconds()
        self._process.stdin.write(json.dumps(event or {}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise BenchmarkError(f"{self.use} failed: {self._errors.read()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        after = self._databases.cpu_seconds()
        used = None if before is None or after is None else round(after - before, 2)
        return Call(
            answer["result"],
            Measurement(answer["seconds"], answer["cpu"], answer["rows"], answer["peak"], used),
            answer["import_seconds"],
            answer["import_cpu"],
            answer.get("first_query_cpu"),
            answer["process_cpu"],
        )


class Lake:
    """A pair of empty buckets between a source and, where one is named, a warehouse.

    `settings` are added to the environment of the functions; without a `source` they name one.
    """

    def __init__(
        self,
        aws: Emulator,
        databases: Databases,
        source: Database | None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._number = next(_numbers)
        self._aws = aws
        self._databases = databases
        self._secrets: set[str] = set()
        self.s3: Any = boto3.client("s3")
        self.ingestion, self.processed = self._bucket("ingestion"), self._bucket("processed")
        self._settings = dict(settings)
        if source is not None:
            self._settings["SOURCE_SECRET_ID"] = self._secret("source", source)

    def function(
        self, use: str, warehouse: Database | None = None, *, ready: bool = False
    ) -> FunctionProcess:
        """Start a function between the source and a warehouse."""
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            **self._aws.environment,
            "TZ": "UTC",
            "PIPELINE": "totesys",
            "POWERTOOLS_METRICS_NAMESPACE": "benchmarks",
            "POWERTOOLS_SERVICE_NAME": use,
            "INGESTION_BUCKET": self.ingestion,
            "PROCESSED_BUCKET": self.processed,
            "WAREHOUSE_SCHEMA": "public",
            **self._settings,
        }
        if warehouse is not None:
            environment["WAREHOUSE_SECRET_ID"] = self._secret(warehouse.name, warehouse)
        return FunctionProcess(use, environment, self._databases, ready=ready)

    def fill(self) -> None:
        """Extract and transform what is new, unmeasured."""
        for use in ("extract", "transform"):
            with self.function(use) as function:
                function.call()

    def batch_bytes(self, batch: int) -> dict[str, int]:
        """Return how many bytes of data objects a batch has in each bucket."""
        stage = f"{batch:010d}-"
        return {
            bucket: sum(size for key, size in self._objects(bucket) if stage in key)
            for bucket in (self.ingestion, self.processed)
        }

    def star_files(self, table: str) -> Iterator[bytes]:
        """Yield the Parquet objects of a star table in the first batch."""
        manifest = json.loads(self._get("batches/source/0000000001.json"))
        for file in manifest["tables"][table]["files"]:
            yield self._get(file["key"])

    def _get(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.processed, Key=key)["Body"].read()
        return body

    def forget_loads(self) -> None:
        """Remove the markers, so that load cannot know what a warehouse has."""
        self._delete(self.processed, "loaded/")

    def remove(self) -> None:
        """Delete the buckets: ten million rows are half a gigabyte."""
        for bucket in (self.ingestion, self.processed):
            self._delete(bucket, "")
            self.s3.delete_bucket(Bucket=bucket)

    def _delete(self, bucket: str, prefix: str) -> None:
        keys = [{"Key": key} for key, _ in self._objects(bucket, prefix)]
        for start in range(0, len(keys), 1000):
            chunk = keys[start : start + 1000]
            self.s3.delete_objects(Bucket=bucket, Delete={"Objects": chunk})

    def _objects(self, bucket: str, prefix: str = "") -> Iterator[tuple[str, int]]:
        pages = self.s3.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                yield found["Key"], found["Size"]

    def _bucket(self, use: str) -> str:
        name = f"benchmark-{self._number}-{use}"
        where: Any = {"LocationConstraint": REGION}
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
        return name

    def _secret(self, name: str, database: Database) -> str:
        secret = f"benchmark-{self._number}/{name}"
        if secret not in self._secrets:
            kind = "mysql" if database.url.startswith("mysql:") else "postgres"
            text = json.dumps(parse_database_url(database.url, kind).secret())
            boto3.client("secretsmanager").create_secret(Name=secret, SecretString=text)
            self._secrets.add(secret)
        return secret
