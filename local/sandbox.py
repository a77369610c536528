"""The machines of the pipeline on this one: databases and an AWS account, in one folder.

Whatever the user does not bring (`--source-url`, `--warehouse-url`) is served from here.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from deployer.configuration.databases import KINDS, DatabaseAddress, parse_database_url
from deployer.configuration.declaration import create_statements, present_sources, read_pipeline
from deployer.configuration.settings import Settings
from deployer.errors import SettingsError
from deployer.resources.names import Names
from deployer.terminal import Terminal
from etl import Files
from etl.sources import Source
from local import preflight, processes, shells
from local.apis import SampleApis
from local.databases import (
    create_managed_warehouse,
    create_source,
    create_warehouse,
    source_writer_url,
)
from local.emulator import ACCOUNT, REGION, Emulator
from local.events import secret_settings
from local.files import put_stand_in, stand_in, stand_in_settings
from local.mysql import MysqlServer
from local.mysql_databases import (
    DATABASE,
    create_managed_mysql_warehouse,
    create_mysql_warehouse,
)
from local.postgres import PostgresServer
from local.private_files import write_private
from local.reports import curl_options, token_settings
from local.sample import Question, Sample, files_of, has_sample, questions_of, sample_of


@dataclass(frozen=True)
class Options:
    """What the user decides about the sandbox; a None is what the sandbox brings by itself."""

    directory: Path
    source_url: str | None = None
    warehouse_url: str | None = None
    port: int | None = None
    postgres_port: int | None = None
    scale: float = 1.0
    managed: bool = False


class Sandbox:
    """Databases and AWS, up while the context lasts; their data stays in the folder."""

    def __init__(
        self, options: Options, environment: Mapping[str, str], terminal: Terminal
    ) -> None:
        self.options = options
        self.directory = options.directory.absolute()
        self.postgres = PostgresServer(self.directory / "postgres", options.postgres_port)
        self.mysql = MysqlServer(self.directory / "mysqld")
        self.aws = Emulator(self.directory / "aws", options.port, sparingly=True)
        self._environment = environment
        self.pipeline, self.declared = read_pipeline(environment)
        self.source, self.target = preflight.only_parts(self.pipeline, self.declared)
        preflight.check_functions(self.declared)
        # One of the sandbox's own has its URL when it has started.
        self._source_url = options.source_url or KINDS["postgres"].example
        example = KINDS[self.target.kind].example.replace("/database", f"/{DATABASE}")
        self._warehouse_url = options.warehouse_url or example
        self._stand_ins = [
            source
            for source in self.declared.files
            if source.remote and (self.files(source) or not source.optional)
        ]
        self._apis = SampleApis(self.pipeline, environment, stand_in=options.source_url is None)
        self._secrets = secret_settings(self.declared.events)
        self._secrets |= token_settings(self.declared.reports)
        self._terminal = terminal
        self._undo = ExitStack()

    @property
    def brings_postgres(self) -> bool:
        """Whether it needs its own PostgreSQL."""
        return self.brings_source or self._loads_into("postgres")

    def _loads_into(self, kind: str) -> bool:
        """Tell whether the warehouse is the sandbox's own, and of a kind."""
        return self.brings_warehouse and self.target.kind == kind

    @property
    def brings_source(self) -> bool:
        """Whether the live database is the sandbox's own, so that business may be simulated."""
        return self.source is not None and self.options.source_url is None

    @property
    def brings_warehouse(self) -> bool:
        """Whether the warehouse is the sandbox's own."""
        return self.options.warehouse_url is None

    @property
    def is_managed(self) -> bool:
        """Whether load creates the tables: if asked to, or if the sandbox has no `ddl` to run."""
        return self.options.managed or (self.brings_warehouse and self.target.ddl is None)

    @property
    def sample(self) -> Sample:
        """Fills the sandbox's own source, and lets business go on in it."""
        return sample_of(self.pipeline)

    def files(self, source: Files, *, bad: bool = False) -> Mapping[str, bytes]:
        """Return the sample's files for a source, or its bad ones.

        None beside a live database of the user's own: they have nothing to do with it.
        """
        is_own = self.options.source_url is not None
        return {} if is_own else files_of(self.pipeline, source.name, bad=bad)

    @property
    def questions(self) -> Sequence[Question]:
        """What the sample asks the sandbox's own warehouse; another may have no such tables."""
        return questions_of(self.pipeline) if self.brings_warehouse else []

    @property
    def writer(self) -> DatabaseAddress:
        """The account under which business goes on in the sandbox's own source."""
        return parse_database_url(source_writer_url(self.postgres, self.pipeline))

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a deployment into this sandbox; it cannot reach any other account."""
        return {
            **self._environment,
            **self.aws.environment,
            **self._addresses,
            **({"WAREHOUSE_MANAGED": "true"} if self.is_managed else {}),
        }

    @property
    def _addresses(self) -> dict[str, str]:
        """Where the sources and the target are; nothing that is elsewhere by the environment."""
        return {
            **({self.source.setting: self._source_url} if self.source else {}),
            self.target.setting: self._warehouse_url,
            **stand_in_settings(self.declared.files, self._stand_ins),
            **self._apis.settings,
            **self._secrets,
        }

    @property
    def sources(self) -> list[Source]:
        """The sources of the pipeline that are there."""
        return present_sources(self.declared, self.environment)

    @property
    def settings(self) -> Settings:
        """The same, checked."""
        return Settings.read(self.environment)

    def __enter__(self) -> Self:
        """Start what is needed; the databases come filled and prepared.

        Raises DeployError, before anything is started wherever that can be known by then.
        """
        with self._undo:
            self._look_before_starting()
            if self.brings_postgres:
                self._start_postgres()
            if self._loads_into("mysql"):
                self._start_mysql()
            with self._terminal.step("start AWS (ministack, IAM enforced)"):
                self._undo.enter_context(self.aws)
            self._undo.enter_context(self._apis)
            self._fill_stand_ins()
            self._write_files()
            self._undo = self._undo.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop all of it; nothing stays running."""
        with self._terminal.step("stop everything"):
            self._undo.close()

    def _look_before_starting(self) -> None:
        options = self.options
        source = preflight.read_url("--source-url", self._source_url)
        warehouse = preflight.read_url("--warehouse-url", self._warehouse_url, self.target.kind)
        settings = self.settings
        if options.source_url is not None and self.source is None:
            raise SettingsError([f"--source-url: pipelines/{self.pipeline} reads no database"])
        if self.brings_source and not has_sample(self.pipeline, "fill"):
            raise preflight.PreflightError(
                f"pipelines/{self.pipeline} has no sample of a source: give --source-url"
            )
        if self.brings_warehouse:
            create_statements(self.pipeline, settings.warehouse_schema)
        preflight.check_directory(self.directory)
        self._claim_directory()
        preflight.check_pipeline(self.directory, self.pipeline)
        if options.port:
            processes.bind(options.port, "--port").close()
        if options.postgres_port and self.brings_postgres:
            processes.bind(options.postgres_port, "--postgres-port").close()
        if self.source is not None and not self.brings_source:
            with self._terminal.step("check the source"):
                preflight.check_source(source, self.source, self.pipeline)
        if not self.brings_warehouse:
            with self._terminal.step("check the warehouse"):
                preflight.check_warehouse(
                    warehouse, self.target, settings.warehouse_schema, settings.warehouse_managed
                )

    def _claim_directory(self) -> None:
        """Keep a second sandbox out; the lock ends with this process, however that ends."""
        path = self.directory / "lock"
        if (lock := processes.lock(path, seconds=0)) is None:
            raise preflight.PreflightError(
                f"process {path.read_text()} has a sandbox in {self.directory}: stop that one "
                "first (Ctrl-C), or choose another folder (--dir)"
            )
        self._undo.enter_context(lock)
        lock.write(str(os.getpid()))
        lock.flush()

    def _start_postgres(self) -> None:
        with self._terminal.step("start PostgreSQL"):
            self._undo.enter_context(self.postgres)
        if self.brings_source:
            step = f"fill database {self.pipeline} (scale {self.options.scale:g})"
            with self._terminal.step(step):
                self._source_url = create_source(
                    self.postgres,
                    self.pipeline,
                    now=datetime.now(UTC).replace(tzinfo=None),
                    scale=self.options.scale,
                )
        if self._loads_into("postgres"):
            self._make_warehouse(self.settings)

    def _start_mysql(self) -> None:
        with self._terminal.step("find or fetch MySQL or MariaDB"):
            product = self.mysql.installation.product
        with self._terminal.step(f"start {product}"):
            self._undo.enter_context(self.mysql)
        settings, target = self.settings, self.target
        schema = settings.warehouse_schema
        if settings.warehouse_managed:
            with self._terminal.step(f"create database {schema}, for load to shape"):
                self._warehouse_url = create_managed_mysql_warehouse(self.mysql, target, schema)
        else:
            with self._terminal.step(f"prepare database {schema}"):
                self._warehouse_url = create_mysql_warehouse(self.mysql, self.pipeline, schema)

    def _make_warehouse(self, settings: Settings) -> None:
        schema = settings.warehouse_schema
        if settings.warehouse_managed:
            with self._terminal.step("create database warehouse, for load to shape"):
                parts = (*self.target.tables, *(model.table for model in self.target.models))
                self._warehouse_url = create_managed_warehouse(
                    self.postgres,
                    schema,
                    has_more_schemas=any(part.schema not in (None, schema) for part in parts),
                )
        else:
            with self._terminal.step("prepare database warehouse"):
                self._warehouse_url = create_warehouse(
                    self.postgres, self.pipeline, schema, has_views=True
                )

    def _fill_stand_ins(self) -> None:
        """Let somebody else have the files of the sample."""
        for source in self._stand_ins:
            with self._terminal.step(f"let somebody else's bucket have files for {source.name}"):
                put_stand_in(self.environment, ACCOUNT, stand_in(source), self.files(source))

    def _write_files(self) -> None:
        """Leave, for as long as it is up, what other terminals need: settings, shells, drop."""
        self._leave("env", self._exports())
        if self.settings.reports.is_on:
            self._leave("curl", curl_options(self.settings, self.aws.token))
        for name, (text, mode) in self._shells().items():
            self._leave(name, text, mode)

    def _shells(self) -> shells.Files:
        """Return the programs for the servers that are up, and for the bucket of files."""
        warehouse = "warehouse" if self._loads_into("postgres") else self.pipeline
        settings = self.settings
        bucket = Names(settings.project, settings.stage, ACCOUNT, REGION).bucket("drop")
        return {
            **(shells.drop(bucket, self.directory) if settings.takes_files else {}),
            **(
                shells.psql(self.postgres, self.directory, warehouse)
                if self.brings_postgres
                else {}
            ),
            **(
                shells.mysql(self.mysql, self.directory, DATABASE)
                if self._loads_into("mysql")
                else {}
            ),
        }

    def _leave(self, name: str, text: str, mode: int = 0o600) -> None:
        path = self.directory / name
        self._undo.callback(path.unlink, missing_ok=True)
        write_private(path, text, mode)

    def _exports(self) -> str:
        """Return the settings as a shell reads them; the file is for its owner's eyes only."""
        settings = self.settings
        values = {
            **self.aws.environment,
            "PIPELINE": self.pipeline,
            **self._addresses,
            **settings.own,
            "MAX_REJECTS": settings.max_rejects,
            "NOTIFY": settings.notify,
            "WAREHOUSE_SCHEMA": settings.warehouse_schema,
            "WAREHOUSE_MANAGED": str(settings.warehouse_managed).lower(),
            "PROJECT": settings.project,
            "STAGE": settings.stage,
            "EXTRACT_SCHEDULE": settings.extract_schedule,
            "LOAD_SCHEDULE": settings.load_schedule,
        }
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
