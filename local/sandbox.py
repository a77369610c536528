"""The sandbox: a pipeline's databases and AWS account on this machine, in one folder.

A database that the user names (`--source-url`, `--warehouse-url`) is used instead of its own.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from deployer.configuration.databases import KINDS, DatabaseAddress, parse_database_url
from deployer.configuration.declaration import create_statements, present_sources, read_pipeline
from deployer.configuration.network import GROUPS, SUBNETS
from deployer.configuration.organisation import OF_ONE_ACCOUNT
from deployer.configuration.settings import Settings
from deployer.errors import SettingsError
from deployer.resources.names import Names
from deployer.terminal import Terminal
from etl import Files
from etl.sources import Source
from local import preflight, processes, shells
from local.databases import (
    create_managed_warehouse,
    create_source,
    create_warehouse,
    publish_source,
    source_writer_url,
)
from local.emulator import ACCOUNT, REGION, Emulator
from local.endpoints import secret_settings, token_settings
from local.mysql import MysqlServer
from local.mysql.databases import (
    DATABASE,
    create_managed_mysql_warehouse,
    create_mysql_warehouse,
)
from local.postgres import PostgresServer
from local.private_files import write_private
from local.sample import Question, Sample, files_of, has_sample, questions_of, sample_of
from local.stand_ins import SampleApis, put_stand_in, stand_in, stand_in_settings


@dataclass(frozen=True)
class Options:
    """The user's choices; None stands for the sandbox's own database, or any free port."""

    directory: Path
    source_url: str | None = None
    warehouse_url: str | None = None
    port: int | None = None
    postgres_port: int | None = None
    scale: float = 1.0
    managed: bool = False


class Sandbox:
    """Databases and AWS, running while the context lasts; their data stays in the folder."""

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
        # The URLs of the sandbox's own databases are known when they have started.
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
    def needs_postgres(self) -> bool:
        """Whether one of its databases is PostgreSQL."""
        return self.has_own_source or self._loads_into("postgres")

    def _loads_into(self, kind: str) -> bool:
        """Return whether the warehouse is the sandbox's own, and of this kind."""
        return self.has_own_warehouse and self.target.kind == kind

    @property
    def has_own_source(self) -> bool:
        """Whether the source database is the sandbox's own, so that its rows may be changed."""
        return self.source is not None and self.options.source_url is None

    @property
    def has_own_warehouse(self) -> bool:
        """Whether the warehouse is the sandbox's own."""
        return self.options.warehouse_url is None

    @property
    def is_managed(self) -> bool:
        """Whether load creates the tables: if asked to, or if the sandbox has no `ddl` to run."""
        return self.options.managed or (self.has_own_warehouse and self.target.ddl is None)

    @property
    def sample(self) -> Sample:
        """What fills the sandbox's own source and changes its rows."""
        return sample_of(self.pipeline)

    def files(self, source: Files, *, bad: bool = False) -> Mapping[str, bytes]:
        """Return the sample's files for a source, or its bad ones.

        None beside the user's own source database, to which they are unrelated.
        """
        is_own = self.options.source_url is not None
        return {} if is_own else files_of(self.pipeline, source.name, bad=bad)

    @property
    def questions(self) -> Sequence[Question]:
        """The sample's questions, for the sandbox's own warehouse; another may lack the tables."""
        return questions_of(self.pipeline) if self.has_own_warehouse else []

    @property
    def writer(self) -> DatabaseAddress:
        """The role that changes rows in the sandbox's own source."""
        return parse_database_url(source_writer_url(self.postgres, self.pipeline))

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a deployment into this sandbox, which cannot reach any other account."""
        return {
            **self._environment,
            **self.aws.environment,
            **self._addresses,
            **({"WAREHOUSE_MANAGED": "true"} if self.is_managed else {}),
            **dict.fromkeys((SUBNETS, GROUPS, *OF_ONE_ACCOUNT), ""),  # this machine has none
        }

    @property
    def _addresses(self) -> dict[str, str]:
        """The addresses of the sources and the target, whatever the environment has for them."""
        return {
            **({self.source.setting: self._source_url} if self.source else {}),
            self.target.setting: self._warehouse_url,
            **stand_in_settings(self.declared.files, self._stand_ins),
            **self._apis.settings,
            **self._secrets,
        }

    @property
    def sources(self) -> list[Source]:
        """The pipeline's sources whose addresses are set."""
        return present_sources(self.declared, self.environment)

    @property
    def settings(self) -> Settings:
        """The same, checked."""
        return Settings.read(self.environment)

    def __enter__(self) -> Self:
        """Start what is needed, and fill and prepare the databases.

        Raises DeployError, where possible before anything is started.
        """
        with self._undo:
            self._check()
            if self.needs_postgres:
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
        """Stop everything."""
        with self._terminal.step("stop everything"):
            self._undo.close()

    def _check(self) -> None:
        options = self.options
        source = preflight.read_url("--source-url", self._source_url)
        warehouse = preflight.read_url("--warehouse-url", self._warehouse_url, self.target.kind)
        settings = self.settings
        if options.source_url is not None and self.source is None:
            raise SettingsError([f"--source-url: pipelines/{self.pipeline} reads no database"])
        if self.has_own_source and not has_sample(self.pipeline, "fill"):
            raise preflight.PreflightError(
                f"pipelines/{self.pipeline} has no sample of a source: give --source-url"
            )
        if self.has_own_warehouse:
            create_statements(self.pipeline, settings.warehouse_schema)
        preflight.check_directory(self.directory)
        self._claim_directory()
        preflight.check_pipeline(self.directory, self.pipeline)
        if options.port:
            processes.bind(options.port, "--port").close()
        if options.postgres_port and self.needs_postgres:
            processes.bind(options.postgres_port, "--postgres-port").close()
        if self.source is not None and not self.has_own_source:
            with self._terminal.step("check the source"):
                preflight.check_source(source, self.source, self.pipeline)
        if not self.has_own_warehouse:
            with self._terminal.step("check the warehouse"):
                preflight.check_warehouse(
                    warehouse, self.target, settings.warehouse_schema, settings.warehouse_managed
                )

    def _claim_directory(self) -> None:
        """Lock the folder against a second sandbox; the lock ends with this process."""
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
        if self.has_own_source:
            step = f"fill database {self.pipeline} (scale {self.options.scale:g})"
            with self._terminal.step(step):
                self._source_url = create_source(
                    self.postgres,
                    self.pipeline,
                    now=datetime.now(UTC).replace(tzinfo=None),
                    scale=self.options.scale,
                )
                if self.settings.logged:
                    publish_source(self.postgres, self.pipeline)
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
            with self._terminal.step(f"create database {schema}"):
                self._warehouse_url = create_managed_mysql_warehouse(self.mysql, target, schema)
        else:
            with self._terminal.step(f"prepare database {schema}"):
                self._warehouse_url = create_mysql_warehouse(self.mysql, self.pipeline, schema)

    def _make_warehouse(self, settings: Settings) -> None:
        schema = settings.warehouse_schema
        if settings.warehouse_managed:
            with self._terminal.step("create database warehouse"):
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
        """Put the sample's files into the buckets that stand in for another account's."""
        for source in self._stand_ins:
            with self._terminal.step(f"fill another account's bucket for {source.name}"):
                put_stand_in(self.environment, ACCOUNT, stand_in(source), self.files(source))

    def _write_files(self) -> None:
        """Write what other terminals need, settings and programs, for as long as it is up."""
        settings, folder = self.settings, self.directory
        shown = {**self.aws.environment, "PIPELINE": self.pipeline, **self._addresses}
        files = dict(shells.exports(shown, settings))
        if settings.reports.is_on:
            files |= shells.curl(settings, self.aws.token)
        if settings.takes_files:
            bucket = Names.of(settings, ACCOUNT, REGION).bucket("drop")
            files |= shells.drop(bucket, folder)
        if self.needs_postgres:
            database = DATABASE if self._loads_into("postgres") else self.pipeline
            files |= shells.psql(self.postgres, folder, database)
        if self._loads_into("mysql"):
            files |= shells.mysql(self.mysql, folder, DATABASE)
        for name, (text, mode) in files.items():
            self._write(name, text, mode)

    def _write(self, name: str, text: str, mode: int) -> None:
        path = self.directory / name
        self._undo.callback(path.unlink, missing_ok=True)
        write_private(path, text, mode)
