"""MySQL as a target of load: a connection that holds the lock, and one source's tables.

It implements `functions.targets.Kind`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from functions.common.database import stored_database
from functions.common.mysql import connection, quoted
from functions.common.selfcheck import SECONDS
from functions.common.settings import switched_on
from functions.targets import Feed, Place
from functions.targets.loading import WarehouseLoader, prepared
from functions.targets.mysql.create import create_missing, create_own_tables, create_schema
from functions.targets.mysql.lock import only_loader
from functions.targets.mysql.ready import ready
from functions.targets.mysql.session import MysqlSession
from functions.targets.mysql.tables import inspect
from functions.targets.mysql.views import make_declared_views, make_views


def look(place: Place) -> str:
    """Return what can be loaded; raise WarehouseSetupError for what cannot."""
    database = stored_database(place.secrets, place.settings, place.target)
    schema = place.settings.get(place.setting("SCHEMA")) or database.dbname
    is_managed = switched_on(place.settings, place.setting("MANAGED"))
    with connection(database, SECONDS) as opened:
        found = ready(opened, schema, place.target, is_managed=is_managed)
        return f"{database}, {opened.encryption}: {found}"


@contextmanager
def loader(place: Place, feed: Feed, seconds: float) -> Iterator[WarehouseLoader | None]:
    """Hold the warehouse's lock for at most `seconds`; yield None if another loader has it."""
    database = stored_database(place.secrets, place.settings, place.target)
    schema = place.settings.get(place.setting("SCHEMA")) or database.dbname
    is_managed = switched_on(place.settings, place.setting("MANAGED"))
    with (
        connection(database, seconds) as opened,
        only_loader(opened, schema) as lock,
    ):
        if lock is None:
            yield None
            return
        if is_managed:
            create_schema(opened, schema)
        opened.run(f"USE {quoted(schema)}")  # temporary tables are created there
        if is_managed:
            create_missing(opened, schema, place.target, place.folder)
            create_own_tables(opened, schema)
            make_declared_views(opened, schema, place.target, place.folder)
        declared = [mapping.target for mapping in feed.mappings]
        layout = inspect(opened, schema, place.target, declared)
        session = MysqlSession(lock, layout)
        loading = prepared(session, place, feed)
        if is_managed and layout.has_deletions:
            make_views(opened, layout)
        yield loading
