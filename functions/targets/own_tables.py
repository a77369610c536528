"""The two tables that load keeps for itself in a warehouse: `deleted_rows` and `loaded_batches`.

They are created in a managed warehouse. Once there they are kept, whatever WAREHOUSE_MANAGED says,
so that they have no gap when it is switched off and on again.

`loaded_batches`, the ledger, is a history like those of a pipeline: its newest record proves what
the tables have that keep none. Without it these would get older batches again after a restart of
the server, and all of them where there is no history.
"""

from typing import TYPE_CHECKING

from functions.common.errors import WarehouseSetupError

if TYPE_CHECKING:
    from functions.targets.layout import Found

DELETIONS = "deleted_rows"
DELETIONS_COLUMNS = ("table_name", "business_id", "seen_gone_at", "batch", "seen_again_at")
LEDGER = "loaded_batches"
LEDGER_COLUMNS = ("record_id", "source", "batch", "loaded_at")

MEANINGS = {
    DELETIONS: (
        "Rows that the source has deleted: not in the snapshot that batch `batch` took of it at"
        " seen_gone_at, and there again, if ever, in that of seen_again_at. business_id is the key"
        " as text; keys of several columns have commas between them, and a backslash before each"
        " comma or backslash in one. table_name is the declared one, whatever the table is called"
        " here."
    ),
    LEDGER: (
        "The batches that load applied, in this order; one that came again, for a table that lacked"
        " it or rows that had been refused, is here again."
    ),
}
"""The comment of each table."""

_COLUMNS = {DELETIONS: DELETIONS_COLUMNS, LEDGER: LEDGER_COLUMNS}
_RIGHTS = {DELETIONS: {"SELECT", "INSERT", "UPDATE"}, LEDGER: {"SELECT", "INSERT"}}


def is_own(found: "Found | None", name: str) -> bool:
    """Return whether a table is the one of a name, DELETIONS or LEDGER, that load keeps.

    Raises WarehouseSetupError if this role may not use it.
    """
    if found is None or not set(_COLUMNS[name]) <= found.types.keys():
        return False
    found.require_rights(_RIGHTS[name])
    return True


def require_own(found: "Found", name: str, where: str) -> None:
    """Raise WarehouseSetupError if a table of others has the name; `where` is its schema."""
    if not is_own(found, name):
        raise WarehouseSetupError(
            f"table {name} in {where} of the warehouse is not the one that load keeps there "
            f"({', '.join(_COLUMNS[name])}): rename it, or set WAREHOUSE_MANAGED=false"
        )
