"""The testbed: PostgreSQL and the AWS of this machine, buckets, functions, and the other tools."""

import json
import os
import subprocess  # nosec B404
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Self

import boto3

from benchmarks.databases import Database, Databases
from benchmarks.measuring import ROOT, BenchmarkError, Measurement, Peer, Plan, run_peer
from deployer.configuration.databases import parse_database_url
from local.emulator import REGION, Emulator
from local.postgres import PostgresServer

FUNCTIONS = ("extract", "transform", "load")
NO_EVENT: Mapping[str, Any] = {}

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
    """A function in its own process (`benchmarks.process`), which ends with the context."""

    def __init__(
        self, command: list[str], environment: dict[str, str], databases: Databases
    ) -> None:
        self._name = " ".join(command)
        self._databases = databases
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed when it exits
        self._process = subprocess.Popen(  # nosec B603
            [sys.executable, "-m", "benchmarks.process", *command],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def __enter__(self) -> Self:
        """Do nothing: it has been started."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the process."""
        self._process.communicate()
        self._errors.close()

    def call(self, event: Mapping[str, Any] = NO_EVENT) -> Call:
        """Invoke the function; raise BenchmarkError with its traceback when it fails."""
        answer: dict[str, Any] = {}

        def run() -> Measurement:
            answer.update(self.ask(event))
            return Measurement(answer["seconds"], answer["cpu"], answer["rows"], answer["peak"])

        measurement = self._databases.charged(run)
        return Call(
            answer["result"],
            measurement,
            answer["import_seconds"],
            answer["import_cpu"],
            answer.get("first_query_cpu"),
            answer["process_cpu"],
        )

    def kill(self) -> None:
        """Kill it, wherever it is: a call that is waited for fails."""
        self._process.kill()

    def ask(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Invoke the function; return what it measured of itself, and its result."""
        if self._process.stdin is None or self._process.stdout is None:
            raise BenchmarkError(f"{self._name} has no pipes")
        self._process.stdin.write(f"{json.dumps(event)}\n")
        self._process.stdin.flush()
        if line := self._process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            return answer
        self._process.wait()
        self._errors.seek(0)
        raise BenchmarkError(f"{self._name} failed: {self._errors.read()[-3000:]}")


class Lake:
    """A pair of empty buckets between a source and a warehouse.

    `settings` are added to the environment of the functions; without a `source` they name one.
    """

    def __init__(
        self,
        aws: Emulator,
        databases: Databases,
        source: Database | None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._number = next(_numbers)
        self._aws = aws
        self._databases = databases
        self._secrets: set[str] = set()
        self._s3: Any = boto3.client("s3")
        self.ingestion, self.processed = (
            create_bucket(f"benchmark-{self._number}-{use}") for use in ("ingestion", "processed")
        )
        self._settings = dict(settings or {})
        if source is not None:
            self._settings["SOURCE_SECRET_ID"] = self._secret("source", source)

    def function(
        self, use: str, warehouse: Database | None = None, *, ready: bool = False, **settings: str
    ) -> FunctionProcess:
        """Start a function between the source and a warehouse, with some settings more.

        One that is `ready` has its AWS clients before the first call.
        """
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
            **settings,
        }
        if warehouse is not None:
            environment["WAREHOUSE_SECRET_ID"] = self._secret(warehouse.name, warehouse)
        command = [use, "ready"] if ready else [use]
        return FunctionProcess(command, environment, self._databases)

    def call_each(self, warehouse: Database) -> dict[str, Measurement]:
        """Extract, transform and load what is new; return the cost of each function."""
        taken = {}
        for use in FUNCTIONS:
            with self.function(use, warehouse, ready=True) as function:
                taken[use] = function.call().measurement
        return taken

    def fill(self) -> None:
        """Extract and transform what is new, unmeasured."""
        for use in ("extract", "transform"):
            with self.function(use) as function:
                function.call()

    def load(self, warehouse: Database) -> Measurement:
        """Load all batches; what the lake knows of earlier loads is removed before."""
        # Else load recognises a copy of a warehouse that has the rows, and compares none of them.
        self._delete(self.processed, "loaded/")
        with self.function("load", warehouse, ready=True) as function:
            return function.call().measurement

    def batch_bytes(self, batch: int) -> dict[str, int]:
        """Return how many bytes of data objects a batch has in each bucket."""
        stage = f"{batch:010d}-"
        return {
            bucket: sum(size for key, size in self._objects(bucket) if stage in key)
            for bucket in (self.ingestion, self.processed)
        }

    def write_parquet(self, table: str, folder: Path) -> None:
        """Write the Parquet objects of a warehouse table in all batches to a new folder."""
        folder.mkdir()
        manifests = [key for key, _ in self._objects(self.processed, "batches/source/")]
        files = [
            file
            for key in sorted(manifests)
            for file in json.loads(self._get(key))["tables"][table]["files"]
        ]
        for number, file in enumerate(files):
            (folder / f"{number}.parquet").write_bytes(self._get(file["key"]))

    def remove(self) -> None:
        """Delete the buckets: ten million rows are half a gigabyte."""
        for bucket in (self.ingestion, self.processed):
            self._delete(bucket, "")
            self._s3.delete_bucket(Bucket=bucket)

    def _get(self, key: str) -> bytes:
        body: bytes = self._s3.get_object(Bucket=self.processed, Key=key)["Body"].read()
        return body

    def _delete(self, bucket: str, prefix: str) -> None:
        keys = [{"Key": key} for key, _ in self._objects(bucket, prefix)]
        for start in range(0, len(keys), 1000):
            chunk = keys[start : start + 1000]
            self._s3.delete_objects(Bucket=bucket, Delete={"Objects": chunk})

    def _objects(self, bucket: str, prefix: str = "") -> Iterator[tuple[str, int]]:
        pages = self._s3.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                yield found["Key"], found["Size"]

    def _secret(self, name: str, database: Database) -> str:
        secret = f"benchmark-{self._number}/{name}"
        if secret not in self._secrets:
            kind = "mysql" if database.url.startswith("mysql:") else "postgres"
            text = json.dumps(parse_database_url(database.url, kind).secret())
            boto3.client("secretsmanager").create_secret(Name=secret, SecretString=text)
            self._secrets.add(secret)
        return secret


@dataclass(frozen=True)
class Testbed:
    """Databases and AWS, up while the context lasts, and a folder that is removed afterwards."""

    databases: Databases
    aws: Emulator
    scratch: Path
    plan: Plan

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Yield an empty folder, and remove it."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as name:
            yield Path(name)

    @contextmanager
    def lake(self, source: Database | None, **settings: str) -> Iterator[Lake]:
        """Yield a lake on a source, and remove it."""
        made = Lake(self.aws, self.databases, source, settings)
        try:
            yield made
        finally:
            made.remove()

    @contextmanager
    def drop_bucket(self, file: Path) -> Iterator[str]:
        """Yield a bucket with a file in it, as users drop them, and remove it."""
        s3: Any = boto3.client("s3")
        bucket = create_bucket(f"benchmark-drop-{next(_numbers)}")
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        s3.upload_file(str(file), bucket, file.name)
        yield bucket
        for version in s3.list_object_versions(Bucket=bucket)["Versions"]:
            s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
        s3.delete_bucket(Bucket=bucket)

    def peers(
        self, peers: Mapping[str, Peer], rows: int, *, is_constrained: bool = False
    ) -> dict[str, Callable[..., Measurement]]:
        """Return those that take part, by name, to be called with their task's arguments."""
        return {
            name: partial(self.run_peer, self.plan.peers, peer.task)
            for name, peer in peers.items()
            if self.plan.peers and peer.takes(rows, is_constrained=is_constrained)
        }

    def run_peer(self, python: Path, task: str, **arguments: Any) -> Measurement:
        """Run a peer once, with the arguments and an empty folder, `scratch`."""
        with self.folder() as scratch:
            given = {**arguments, "scratch": str(scratch)}
            return self.databases.charged(lambda: run_peer(python, task, given, scratch))


@contextmanager
def testbed(plan: Plan) -> Iterator[Testbed]:
    """Start everything; stop it and remove all files at the end, whatever happened."""
    with tempfile.TemporaryDirectory(prefix="benchmarks ") as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root the server runs as nobody, who has to get in
        with PostgresServer(folder / "postgres") as server, Emulator(folder / "aws") as aws:
            reach_only(aws)
            scratch = folder / "scratch"
            scratch.mkdir()
            yield Testbed(Databases(server), aws, scratch, plan)


def create_bucket(name: str) -> str:
    """Create an empty bucket, and return its name."""
    where: Any = {"LocationConstraint": REGION}
    boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
    return name


def reach_only(aws: Emulator) -> None:
    """Let boto3 in this process reach one local AWS and nothing else."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(aws.environment)
