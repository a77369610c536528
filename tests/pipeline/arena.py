"""A place to fight in: a fresh source and warehouse behind faulty links, and buckets."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import botocore.session
from botocore.config import Config

from deployer.configuration.databases import parse_database_url
from etl.loading import load
from etl.sources import SCAN, WAL
from local.connection import connect
from local.databases import create_source, create_warehouse, publish_source, source_writer_url
from local.emulator import ACCOUNT, REGION, UNCHECKED, Emulator
from local.mysql import MysqlServer
from local.mysql.databases import DATABASE, create_mysql_warehouse
from local.postgres import PostgresServer
from tests.pipeline.faulty_link import FaultyLink, FaultyLinks
from tests.pipeline.recorded import RecordedHistory
from tests.pipeline.verdict import Lake
from tests.pipeline.warehouse_rows import named_rows
from tests.postgres_fixtures import SAMPLE_NOW, SAMPLE_SCALE, Source, Warehouse, drop_database

TOTESYS: Mapping[str, str] = {"PIPELINE": "totesys"}


@dataclass(frozen=True)
class Servers:
    """The servers of the two databases; one may be both unless a disruption stops one of them.

    A warehouse in MySQL has a server to itself.
    """

    source: PostgresServer
    warehouse: PostgresServer | MysqlServer

    @property
    def postgres(self) -> PostgresServer:
        """The warehouse's server, for what is done to PostgreSQL alone."""
        assert isinstance(self.warehouse, PostgresServer)
        return self.warehouse


@dataclass
class Arena:
    """Two databases, the links that the functions reach them by, and the functions' settings.

    `name` begins the names of everything that belongs to it. `before` are the rows that the tables
    of the warehouse had when the buckets were emptied last: no log says where they are from.
    """

    name: str
    servers: Servers
    source: Source
    warehouse: Warehouse
    history: RecordedHistory
    link: FaultyLinks
    lake: Lake
    environment: dict[str, str]
    secrets: Any
    glue: Any
    ports: dict[str, int]
    before: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def move_warehouse(self, warehouse: Warehouse) -> None:
        """Point the functions at a warehouse on the same server, as a new deployment does."""
        self.warehouse = warehouse
        self.environment["WAREHOUSE_SCHEMA"] = warehouse.schema
        self.keep_secret("warehouse", warehouse.loader_url, self.ports["warehouse"])

    @property
    def lake_database(self) -> str:
        """The database of Glue that has the Iceberg tables."""
        return self.environment["LAKE_DATABASE"]

    @property
    def lake_tables(self) -> dict[str, str]:
        """Where the metadata of each Iceberg table is, by its name."""
        found = self.glue.get_tables(DatabaseName=self.lake_database)["TableList"]
        return {each["Name"]: each["Parameters"]["metadata_location"] for each in found}

    def drop_lake(self) -> None:
        """Drop the Iceberg tables, as who has emptied the buckets has to."""
        for table in self.lake_tables:
            self.glue.delete_table(DatabaseName=self.lake_database, Name=table)

    def remember_rows(self) -> None:
        """Note what the tables of a PostgreSQL have, before the buckets are emptied."""
        if isinstance(self.servers.warehouse, MysqlServer):
            return  # no Iceberg table is compared with it
        targets = [each.target for each in load(self.environment["PIPELINE"]).mappings("source")]
        self.before = {each.id: named_rows(self.warehouse, each.name) for each in targets}

    def keep_secret(self, of: str, url: str, port: int) -> str:
        """Store a database's address, behind a link's port, and return the secret's name."""
        name, text = f"{self.name}/{of}", json.dumps(_secret(url, port))
        if of in self.ports:
            self.secrets.put_secret_value(SecretId=name, SecretString=text)
        else:
            self.secrets.create_secret(Name=name, SecretString=text)
        self.ports[of] = port
        return name


@contextmanager
def arena(
    servers: Servers,
    aws: Emulator,
    name: str,
    seed: int,
    pipeline: Mapping[str, str] = TOTESYS,
) -> Iterator[Arena]:
    """Make everything, the source recording its history, and remove it at the end.

    `pipeline` are the settings that say where the functions find their declaration.
    """
    s3, secrets = _client(aws, "s3"), _client(aws, "secretsmanager")
    with ExitStack() as undo:
        source, warehouse = _databases(servers, name, pipeline["PIPELINE"])
        lake = Lake(s3, f"{name}-ingestion", f"{name}-processed")
        for bucket in (lake.ingestion, lake.processed):
            where = {"LocationConstraint": REGION}
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
            undo.callback(_remove, lake, bucket)
        settings = {
            # The server that forks invocations may have begun in another test, with its settings.
            "SOURCE_CAPTURE": SCAN,
            **pipeline,
            "WAREHOUSE_MANAGED": "false",
            "SOURCE_SECRET_ID": f"{name}/source",
            "WAREHOUSE_SECRET_ID": f"{name}/warehouse",
            "WAREHOUSE_SCHEMA": warehouse.schema,
            "INGESTION_BUCKET": lake.ingestion,
            "PROCESSED_BUCKET": lake.processed,
            "LAKE_DATABASE": name.replace("-", "_"),
        }
        if settings["SOURCE_CAPTURE"] == WAL:
            publish_source(servers.source, "totesys", database=source.database)
        links = [
            undo.enter_context(FaultyLink(server.port, f"link {seed} {of}").open())
            for of, server in vars(servers).items()
        ]
        place = Arena(
            name,
            servers,
            source,
            warehouse,
            RecordedHistory(source),
            FaultyLinks(*links),
            lake,
            aws.environment | settings,
            secrets,
            _client(aws, "glue"),
            ports={},
        )
        place.glue.create_database(DatabaseInput={"Name": place.lake_database})
        undo.callback(place.glue.delete_database, Name=place.lake_database)
        undo.callback(place.drop_lake)
        undo.callback(_drop_databases, place)
        undo.callback(_remove_secrets, place)
        place.keep_secret("source", source.reader_url, links[0].port)
        place.keep_secret("warehouse", warehouse.loader_url, links[1].port)
        yield place


def _secret(url: str, port: int) -> dict[str, Any]:
    kind = "mysql" if url.startswith(f"{MysqlServer.scheme}:") else "postgres"
    return dict(parse_database_url(url, kind).secret()) | {"port": port}


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
        config=Config(user_agent_appid=aws.token),  # type: ignore[call-arg]
    )


def _databases(servers: Servers, name: str, pipeline: str) -> tuple[Source, Warehouse]:
    shop = f"{name} totesys"
    reader = create_source(
        servers.source, "totesys", now=SAMPLE_NOW, scale=SAMPLE_SCALE, database=shop
    )
    writer = source_writer_url(servers.source, shop)
    source = Source(shop, reader, writer, servers.source.superuser_url(shop))
    return source, _warehouse(servers.warehouse, name, pipeline)


def _warehouse(server: PostgresServer | MysqlServer, name: str, pipeline: str) -> Warehouse:
    """Make the prepared, empty warehouse."""
    if isinstance(server, MysqlServer):
        loader = create_mysql_warehouse(server, pipeline, DATABASE)
        return Warehouse(DATABASE, DATABASE, loader, server.superuser_url(DATABASE))
    stars = f"{name} warehouse"
    loader = create_warehouse(server, "totesys", database=stars)
    return Warehouse(stars, "public", loader, server.superuser_url(stars))


def _drop_databases(place: Arena) -> None:
    """Drop what an arena's name begins the names of; it may have been copied or moved."""
    for server in {place.servers.source, place.servers.warehouse}:
        if isinstance(server, MysqlServer):
            continue  # it is gone with what it has
        with connect(server.superuser_url()) as connection:
            for [database] in connection.run(
                "SELECT datname::text FROM pg_database WHERE starts_with(datname, :name)",
                name=f"{place.name} ",
            ):
                drop_database(connection, database)


def _remove_secrets(place: Arena) -> None:
    """Let another round of this seed have their names."""
    for of in place.ports:
        name = f"{place.name}/{of}"
        place.secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


def _remove(lake: Lake, bucket: str) -> None:
    lake.empty(bucket)
    lake.s3.delete_bucket(Bucket=bucket)
