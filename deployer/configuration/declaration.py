"""The pipeline of a deployment, and what its declaration decides before anything is deployed.

A mistake in the declaration is reported like one in the settings: in one line, before anything is
changed.
"""

from collections.abc import Mapping
from pathlib import Path

from deployer.errors import SettingsError
from etl import DeclarationError, Files, Pipeline, ddl, mysqlddl
from etl.loading import folder, load
from etl.sources import Source
from etl.targets import Target

DEFAULT_PIPELINE = "totesys"

# What e-mails report besides the failures, which the alarms report: for any pipeline, and for one
# with files.
NOTICES = ("failures", "daily", "every-batch")
NOTICES_OF_FILES = ("every-file", "steps")


def read_pipeline(environment: Mapping[str, str]) -> tuple[str, Pipeline]:
    """Return the pipeline of the settings: the name of its folder, and its declaration.

    Raises:
        SettingsError: there is no such pipeline, or its declaration has a mistake.
    """
    name = pipeline_name(environment)
    try:
        return name, load(name)
    except DeclarationError as error:
        raise SettingsError([str(error)]) from error


def pipeline_name(environment: Mapping[str, str]) -> str:
    """Return the name of the pipeline, whether or not it exists."""
    return environment.get("PIPELINE") or DEFAULT_PIPELINE


def default_project(pipeline: str) -> str:
    """Return the default PROJECT of a pipeline."""
    return f"{pipeline.lower().replace('_', '-')}-etl"


def notices_of(declared: Pipeline) -> tuple[str, ...]:
    """Return the choices of NOTIFY."""
    return (*NOTICES, *(NOTICES_OF_FILES if declared.files else ()))


def read_secrets(environment: Mapping[str, str]) -> list[str]:
    """Return the parts of the pipeline that have secrets; none if there is no such pipeline."""
    try:
        _, declared = read_pipeline(environment)
    except SettingsError:
        return []
    keys = [source.key_secret for source in declared.events if source.missed]
    keys += [source.key_secret for source in declared.apis if source.key]
    return [*(part.name for part in (*declared.databases, *declared.events)), *keys]


def address_setting(source: Source) -> str | None:
    """Return the setting with the address of a source; None for the pipeline's own bucket."""
    if isinstance(source, Files):
        return source.bucket_setting if source.remote else None
    return source.setting


def present_sources(declared: Pipeline, environment: Mapping[str, str]) -> list[Source]:
    """Return the sources of a pipeline without optional ones whose address is not set."""
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
        SettingsError: the declaration lacks the types of a table.
    """
    try:
        return {
            target.name: _statements(target, schema, folder(pipeline))
            for target in load(pipeline).targets
        }
    except DeclarationError as error:
        raise SettingsError([str(error)]) from error


def _statements(target: Target, schema: str, folder: Path) -> dict[str, str]:
    create_schema, create_views = {
        "postgres": (ddl.create_schema, ddl.create_views),
        "mysql": (mysqlddl.create_schema, mysqlddl.create_views),
    }[target.kind]
    homes = [each for each in target.schemas(schema) if each != "public"]  # every database has it
    return (
        {f"schema {home}": create_schema(home) for home in homes}
        | table_statements(target, schema, folder)
        | create_views(target, schema, folder)
    )


def table_statements(target: Target, schema: str, folder: Path) -> dict[str, str]:
    """Return the SQL that creates the tables of a target, by name.

    Raises DeclarationError if the declaration lacks the types of a table.
    """
    return {"postgres": ddl.postgres, "mysql": mysqlddl.mysql}[target.kind](target, schema, folder)


def current_view(target: Target, history: str) -> str:
    """Return the name of the view of a history's current state in a managed warehouse."""
    kinds = {"postgres": ddl.current_view, "mysql": mysqlddl.current_view}
    return kinds[target.kind](history)
