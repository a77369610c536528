"""The notice that a batch is in the warehouse."""

from functions.common.loaded import LoadedMarker
from functions.common.text import defanged


def notice(marker: LoadedMarker) -> str:
    """Return the text of a notice: rows by table, and how long the batch was on its way."""
    database = defanged(marker.source.database)
    rows = [
        f"{table:<24}{loaded.inserted:>12,} inserted{loaded.updated:>12,} updated"
        + (f"{loaded.deleted:>12,} deleted" if loaded.deleted else "")
        for table, loaded in sorted(marker.rows.items())
        if loaded.inserted or loaded.updated or loaded.deleted
    ]
    return "\n".join(
        [
            f"It is {database} of {marker.source.snapshot_at:%Y-%m-%d %H:%M:%S} UTC,",
            f"and was in the warehouse {marker.age_seconds:.0f} seconds later.",
            "",
            *(rows or ["The warehouse had all of it already."]),
        ]
    )
