"""PostgreSQL as a target of load: a connection that holds the lock, and one source's tables.

It implements `functions.targets.Kind`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from etl.targets import Target
from functions.common.database import stored_database
from functions.common.postgres import connection
from functions.common.selfcheck import SECONDS
from functions.common.settings import required, switched_on
from functions.targets import Feed, Place
from functions.targets.loading import WarehouseLoader, models_of, prepared
from functions.targets.postgres.create import create_missing, create_own_tables
from functions.targets.postgres.indexes import create_indexes
from functions.targets.postgres.lock import only_loader
from functions.targets.postgres.ready import ready
from functions.targets.postgres.session import PostgresSession
from functions.targets.postgres.stage import SESSION_PARAMETERS
from functions.targets.postgres.tables import inspect
from functions.targets.postgres.views import make_declared_views, make_views


def look(place: Place) -> str:
    """Return what can be loaded; raise WarehouseSetupError for what cannot."""
    database = stored_database(place.secrets, place.settings, place.target)
    schema = required(place.settings, place.setting("SCHEMA"))
    is_managed = switched_on(place.settings, place.setting("MANAGED"))
    with connection(database, SECONDS, **SESSION_PARAMETERS) as opened:
        found = ready(opened, schema, place.target, is_managed=is_managed)
        return f"{database}, {opened.encryption}: {found}"


@contextmanager
def loader(place: Place, feed: Feed, seconds: float) -> Iterator[WarehouseLoader | None]:
    """Hold the warehouse's lock for at most `seconds`; yield None if another loader has it."""
    database = stored_database(place.secrets, place.settings, place.target)
    schema = required(place.settings, place.setting("SCHEMA"))
    is_managed = switched_on(place.settings, place.setting("MANAGED"))
    with (
        connection(database, seconds, **SESSION_PARAMETERS) as opened,
        only_loader(opened, schema, _names(place.target, schema)) as lock,
    ):
        if lock is None:
            yield None
            return
        if is_managed:
            create_missing(opened, schema, place.target, place.folder)
            create_own_tables(opened, schema)
            make_declared_views(opened, schema, place.target, place.folder)
        declared = [mapping.target for mapping in feed.mappings]
        layout = inspect(opened, schema, place.target, declared, models_of(place, feed))
        if is_managed:
            create_indexes(opened, layout)
        session = PostgresSession(lock, layout, place.target.schemas(schema))
        loading = prepared(session, place, feed)
        if is_managed and layout.has_deletions:
            make_views(opened, layout)
        yield loading


def _names(target: Target, schema: str) -> dict[str, list[str]]:
    """Return all names that tables of the target may have, by schema."""
    names: dict[str, list[str]] = {schema: [target.calendar.name] if target.calendar else []}
    for table in target.made:
        names.setdefault(table.schema or schema, []).extend([table.name, *table.other_names])
    return names
