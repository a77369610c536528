"""A target during a load: one source's tables, in a session that holds the lock."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from etl.models import Model
from functions.common.loaded import Warehouse as Identity
from functions.common.manifests import ProcessedManifest
from functions.common.telemetry import logger
from functions.targets import Applied, Feed, Place, Standing
from functions.targets.batch import Warehouse, apply_batch, retry_refused
from functions.targets.deletions import catch_up
from functions.targets.derived import Derived
from functions.targets.layout import Layout, WarehouseTable
from functions.targets.session import Select, Session
from functions.targets.standing import standing_of


def models_of(place: Place, feed: Feed) -> list[Model]:
    """Return the models of a target that may change with the tables of a source."""
    declared = {mapping.target for mapping in feed.mappings}
    return [each for each in place.target.models if declared & set(each.base)]


def prepared(session: Session, place: Place, feed: Feed) -> "WarehouseLoader":
    """Determine what the tables have, and record the deletions up to the newest batch of them."""
    layout = session.layout
    if layout.left_out:
        logger.info("the warehouse lacks optional tables", extra={"tables": layout.left_out})
    standing = standing_of(session, feed.markers)
    if not standing.is_recorded:
        logger.warning(
            "the warehouse has changed since it was last loaded", extra={"batches": standing.has}
        )
    begun = [batch for batch in standing.has.values() if batch]
    if layout.has_deletions and standing.deletions < min(begun, default=0):
        # Up to the newest: load skips a batch that has no rows for the tables that lack it.
        catch_up(session, feed.log, max(begun))
        standing = replace(standing, deletions=max(begun), is_recorded=False)
    models = [each for each in models_of(place, feed) if each.id in layout.models]
    warehouse = Warehouse(session, feed.log, _derived(place, models))
    return WarehouseLoader(warehouse, standing)


def _derived(place: Place, models: Sequence[Model]) -> Derived:
    return Derived(
        {each.id: Select(each, place.folder, place.options) for each in models},
        frozenset(each.id for each in place.target.exports),
    )


class WarehouseLoader:
    """The tables of a warehouse that one source feeds, as `Loader` describes them."""

    def __init__(self, warehouse: Warehouse, standing: Standing) -> None:
        self._warehouse = warehouse
        self._session = warehouse.session
        self.standing = standing

    @property
    def _layout(self) -> Layout[WarehouseTable]:
        return self._session.layout

    @property
    def identity(self) -> Identity:
        """Which warehouse it is, with its tables."""
        return self._session.layout.identity

    @property
    def models(self) -> Mapping[str, frozenset[str]]:
        """The models in order, each with the tables of the source that it is made of."""
        return self._warehouse.derived.made_of(self._layout.tables)

    def concerns(self, manifest: ProcessedManifest, lacking: Collection[str]) -> bool:
        """Return whether a batch changes anything in tables that lack it."""
        is_new = self._layout.has_deletions and manifest.batch > self.standing.deletions
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
        """Apply a batch to the tables `lacking` it and run models, in one transaction."""
        return apply_batch(self._warehouse, manifest, lacking, before, models=models)

    def retry(self, manifest: ProcessedManifest, before: Applied) -> Applied:
        """Retry the refused rows; the batch is the newest, which all tables have."""
        return retry_refused(self._warehouse, manifest, before)

    def may_accept(self, applied: Applied) -> bool:
        """Return whether refused rows wait for parents, and possible parents were inserted."""
        has_new = any(
            table.inserted and name in self._layout.tables.keys() - self._layout.histories.keys()
            for name, table in applied.rows.items()
        )
        reasons = (
            reason for rows in applied.refused.values() for each in rows for reason in each.reasons
        )
        return has_new and any(map(self._session.is_for_reference, reasons))

    def definitions(self) -> str:
        """Return a digest of what decides which rows the tables accept."""
        return self._session.definitions()

    def require_lock(self) -> None:
        """Raise WarehouseSetupError unless the session still holds the lock."""
        self._session.require_lock()
