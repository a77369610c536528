"""PostgreSQL as a target of load: a connection that holds the lock, and one source's tables there.

This is the kind's side of `functions.targets`.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from etl.models import Model
from etl.targets import Target
from functions.common.database import database_from_secret
from functions.common.loaded import Warehouse as Identity
from functions.common.manifests import ProcessedManifest
from functions.common.postgres import connection
from functions.common.settings import required, switched_on
from functions.common.storage import Bucket
from functions.common.telemetry import logger
from functions.targets import Applied, Feed, Place, Standing
from functions.targets.postgres.batch import Warehouse, apply_batch, retry_refused
from functions.targets.postgres.create import create_missing
from functions.targets.postgres.definitions import definitions_of
from functions.targets.postgres.deletions import Deletions, create_deletions
from functions.targets.postgres.derived import Derived
from functions.targets.postgres.ledger import create_ledger
from functions.targets.postgres.lock import only_loader
from functions.targets.postgres.models import Select
from functions.targets.postgres.stage import SESSION_PARAMETERS
from functions.targets.postgres.standing import standing_of
from functions.targets.postgres.tables import inspect
from functions.targets.postgres.views import make_declared_views, make_views


@contextmanager
def loader(place: Place, feed: Feed, seconds: float) -> Iterator["PostgresLoader | None"]:
    """Hold the warehouse's lock, for so many seconds at most; None while another loader has it."""
    database = database_from_secret(
        place.secrets, required(place.settings, place.target.secret_setting)
    )
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
            create_deletions(opened, schema)
            create_ledger(opened, schema)
            make_declared_views(opened, schema, place.target, place.folder)
        declared = [mapping.target for mapping in feed.mappings]
        models = [each for each in place.target.models if set(each.base) & set(declared)]
        layout = inspect(opened, schema, place.target, declared, models)
        if layout.left_out:
            logger.info("the warehouse lacks optional tables", extra={"tables": layout.left_out})
        warehouse = Warehouse(
            lock,
            layout,
            Deletions(opened, layout) if layout.has_deletions else None,
            feed.log.source,
            _derived(place, schema, [each for each in models if each.id in layout.models]),
        )
        yield _prepared(warehouse, feed, is_managed=is_managed)


def _derived(place: Place, schema: str, models: list[Model]) -> Derived:
    return Derived(
        {each.id: Select(each, place.folder, place.options) for each in models},
        place.target.schemas(schema),
        frozenset(each.id for each in place.target.exports),
    )


def _names(target: Target, schema: str) -> dict[str, list[str]]:
    """Return every name that a table of the target may have, by schema."""
    names: dict[str, list[str]] = {schema: [target.calendar.name] if target.calendar else []}
    for table in target.made:
        names.setdefault(table.schema or schema, []).extend([table.name, *table.other_names])
    return names


def _prepared(warehouse: Warehouse, feed: Feed, *, is_managed: bool) -> "PostgresLoader":
    """Find out what the tables have, and bring what is kept beside them up to the same batch."""
    layout, deletions = warehouse.layout, warehouse.deletions
    standing = standing_of(warehouse.connection, feed.markers, layout)
    if not standing.is_recorded:
        logger.warning("the warehouse is not as it was left", extra={"batches": standing.has})
    if deletions and standing.deletions < standing.loaded:
        deletions.catch_up(feed.log, standing.loaded)
        standing = replace(standing, deletions=standing.loaded, is_recorded=False)
    if deletions and is_managed:
        make_views(warehouse.connection, layout, deletions)
    return PostgresLoader(warehouse, feed.log.bucket, standing)


class PostgresLoader:
    """The tables of a warehouse that one source feeds, while they are loaded."""

    def __init__(self, warehouse: Warehouse, bucket: Bucket, standing: Standing) -> None:
        self._warehouse = warehouse
        self._layout = warehouse.layout
        self._bucket = bucket
        self.standing = standing

    @property
    def identity(self) -> Identity:
        """Which warehouse it is, and which tables these are there."""
        return self._layout.identity

    @property
    def models(self) -> Mapping[str, frozenset[str]]:
        """The models, in their order, and of which tables of the source each is made."""
        return self._warehouse.derived.made_of(self._layout.tables)

    def concerns(self, manifest: ProcessedManifest, lacking: Collection[str]) -> bool:
        """Tell whether a batch has anything for tables that lack it."""
        is_new = self._warehouse.deletions and manifest.batch > self.standing.deletions
        calendar = self._layout.calendar
        return any(
            (name in lacking and manifest.brings(name))
            or (is_new and entry.tombstones)
            or (calendar and calendar.name in lacking and table.way == "history" and entry.files)
            for name, table in self._layout.tables.items()
            if (entry := manifest.tables.get(name))
        )

    def apply(
        self,
        manifest: ProcessedManifest,
        lacking: Collection[str],
        models: Collection[str],
        before: Applied,
    ) -> Applied:
        """Apply a batch to the tables that are `lacking` it and run models, in one transaction."""
        return apply_batch(self._warehouse, self._bucket, manifest, lacking, before, models=models)

    def retry(self, manifest: ProcessedManifest, before: Applied) -> Applied:
        """Try the refused rows again; the batch is the newest, which all tables have."""
        return retry_refused(self._warehouse, self._bucket, manifest, before)

    def may_accept(self, applied: Applied) -> bool:
        """Tell whether refused rows refer to others, and some came that may be those."""
        has_new = any(
            table.inserted and name in self._layout.tables.keys() - self._layout.histories.keys()
            for name, table in applied.rows.items()
        )
        reasons = (
            reason for rows in applied.refused.values() for each in rows for reason in each.reasons
        )
        return has_new and any("[23503]" in reason for reason in reasons)

    def definitions(self) -> str:
        """Return a digest of all that decides which rows the tables accept."""
        return definitions_of(self._warehouse.connection, self._layout)

    def require_lock(self) -> None:
        """Raise WarehouseMismatch unless the session holds the lock still."""
        self._warehouse.lock.require()
