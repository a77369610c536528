"""The pipeline of a deployment, and what its declaration decides before anything is deployed.

A mistake in it is a mistake in the settings: one line, and nothing is touched.
"""

from collections.abc import Mapping
from pathlib import Path

from deployer.errors import SettingsError
from etl import DeclarationError, Files, Pipeline, ddl, mysqlddl
from etl.loading import folder, load
from etl.sources import Source
from etl.targets import Target

DEFAULT_PIPELINE = "totesys"

# E-mails beside the alarms, which report failures in any case: of any pipeline, and of one with
# files.
NOTICES = ("failures", "daily", "every-batch")
NOTICES_OF_FILES = ("every-file", "steps")


def read_pipeline(environment: Mapping[str, str]) -> tuple[str, Pipeline]:
    """Read the pipeline of the settings: the name of its folder, and its declaration.

    Raises:
        SettingsError: there is none of that name, or its declaration has a mistake.
    """
    name = pipeline_name(environment)
    try:
        return name, load(name)
    except DeclarationError as error:
        raise SettingsError([str(error)]) from error


def pipeline_name(environment: Mapping[str, str]) -> str:
    """Read the name of the pipeline, whether or not there is one."""
    return environment.get("PIPELINE") or DEFAULT_PIPELINE


def default_project(pipeline: str) -> str:
    """Return the PROJECT of a pipeline for which none is set."""
    return f"{pipeline.lower().replace('_', '-')}-etl"


def notices_of(declared: Pipeline) -> tuple[str, ...]:
    """Return the choices of NOTIFY."""
    return (*NOTICES, *(NOTICES_OF_FILES if declared.files else ()))


def read_secrets(environment: Mapping[str, str]) -> list[str]:
    """Return the parts of the pipeline that have secrets; none if there is no pipeline."""
    try:
        _, declared = read_pipeline(environment)
    except SettingsError:
        return []
    keys = [source.key_secret for source in declared.events if source.missed]
    keys += [source.key_secret for source in declared.apis if source.key]
    return [*(part.name for part in (*declared.databases, *declared.events)), *keys]


def address_setting(source: Source) -> str | None:
    """Return the setting with the address of a source; None for our own bucket."""
    if isinstance(source, Files):
        return source.bucket_setting if source.remote else None
    return source.setting


def present_sources(declared: Pipeline, environment: Mapping[str, str]) -> list[Source]:
    """Return the sources of a pipeline without those that are optional and have no address."""
    return [
        source
        for source in declared.sources
        if not source.optional
        or (setting := address_setting(source)) is None
        or environment.get(setting)
    ]


def create_statements(pipeline: str, schema: str) -> dict[str, dict[str, str]]:
    """Return the SQL that creates the schemas, tables and views of a pipeline, by target and name.

    Raises:
        SettingsError: the declaration does not say what a table is like.
    """
    try:
        return {
            target.name: _statements(target, schema, folder(pipeline))
            for target in load(pipeline).targets
        }
    except DeclarationError as error:
        raise SettingsError([str(error)]) from error


def _statements(target: Target, schema: str, folder: Path) -> dict[str, str]:
    create_schema, tables, views = {
        "postgres": (ddl.create_schema, ddl.postgres, ddl.create_views),
        "mysql": (mysqlddl.create_schema, mysqlddl.mysql, mysqlddl.create_views),
    }[target.kind]
    homes = [each for each in target.schemas(schema) if each != "public"]  # every database has it
    return (
        {f"schema {home}": create_schema(home) for home in homes}
        | tables(target, schema, folder)
        | views(target, schema, folder)
    )
