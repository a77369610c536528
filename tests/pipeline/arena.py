"""A place to fight in: a fresh source and warehouse behind a faulty link, and buckets."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import botocore.session
from pg8000.native import identifier

from deployer.databases import parse_database_url
from local.connection import connect
from local.databases import create_source, create_warehouse, source_writer_url
from local.emulator import ACCOUNT, REGION, UNCHECKED, Emulator
from local.postgres import PostgresServer
from tests.pipeline.faulty_link import FaultyLink
from tests.pipeline.recorded import record
from tests.pipeline.verdict import Lake
from tests.postgres_fixtures import SAMPLE_NOW, SAMPLE_SCALE, Source, Warehouse


@dataclass
class Arena:
    """Two databases, the link that the functions reach them by, and the functions' settings."""

    source: Source
    warehouse: Warehouse
    link: FaultyLink
    lake: Lake
    environment: dict[str, str]


@contextmanager
def arena(server: PostgresServer, aws: Emulator, name: str, seed: int) -> Iterator[Arena]:
    """Make everything, the source recording its history, and remove it at the end."""
    s3, secrets = _client(aws, "s3"), _client(aws, "secretsmanager")
    with ExitStack() as undo:
        source, warehouse = _databases(server, name)
        undo.callback(_drop, server, source.database, warehouse.database)
        record(source)
        link = undo.enter_context(FaultyLink(server.port, f"link {seed}").open())
        lake = Lake(s3, f"{name}-ingestion", f"{name}-processed")
        for bucket in (lake.ingestion, lake.processed):
            where = {"LocationConstraint": REGION}
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
            undo.callback(_empty_and_remove, s3, bucket)
        for of, url in (("source", source.reader_url), ("warehouse", warehouse.loader_url)):
            text = json.dumps(parse_database_url(url).secret() | {"port": link.port})
            secrets.create_secret(Name=f"{name}/{of}", SecretString=text)
        settings = {
            "SOURCE_SECRET_ID": f"{name}/source",
            "WAREHOUSE_SECRET_ID": f"{name}/warehouse",
            "WAREHOUSE_SCHEMA": warehouse.schema,
            "INGESTION_BUCKET": lake.ingestion,
            "PROCESSED_BUCKET": lake.processed,
        }
        yield Arena(source, warehouse, link, lake, aws.environment | settings)


def _client(aws: Emulator, service: Any) -> Any:
    """Return a client of the local AWS; the environment and the user's settings have no say."""
    session = botocore.session.Session(profile="default")
    session.set_config_variable("config_file", aws.environment["AWS_CONFIG_FILE"])
    return session.create_client(
        service,
        region_name=REGION,
        endpoint_url=aws.endpoint,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key=UNCHECKED,
    )


def _databases(server: PostgresServer, name: str) -> tuple[Source, Warehouse]:
    shop, stars = f"{name} totesys", f"{name} warehouse"
    reader = create_source(server, now=SAMPLE_NOW, scale=SAMPLE_SCALE, database=shop)
    loader = create_warehouse(server, database=stars)
    return (
        Source(shop, reader, source_writer_url(server, shop), server.superuser_url(shop)),
        Warehouse(stars, "public", loader, server.superuser_url(stars)),
    )


def _drop(server: PostgresServer, *databases: str) -> None:
    with connect(server.superuser_url()) as connection:
        for database in databases:
            connection.run(f"DROP DATABASE {identifier(database)} WITH (FORCE)")


def _empty_and_remove(s3: Any, bucket: str) -> None:
    while found := s3.list_objects_v2(Bucket=bucket).get("Contents"):
        keys = [{"Key": item["Key"]} for item in found]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
    s3.delete_bucket(Bucket=bucket)
