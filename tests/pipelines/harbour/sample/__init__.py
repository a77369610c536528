"""A day in the harbour."""

from collections.abc import Mapping, Sequence
from datetime import datetime


def files(source: str, now: datetime) -> Mapping[str, bytes]:
    """Return the files of the first day."""
    return {
        "ship.csv": "ship_id,name,length\n1,Möwe,12.50\n2,L'Étoile,9.00\n".encode(),
        "captain.csv": b"ship_id,name\n1,Ahab\n2,\n",
        "landing.csv": b"ship_id,day,fish\n1,2025-01-30,cod\n1,2025-01-30,cod\n2,2025-01-31,eel\n",
    }


def questions() -> Sequence[tuple[str, Sequence[str], str]]:
    """Return what the harbour master asks."""
    return [
        (
            "What each ship landed",
            ("ship", "landings"),
            "SELECT name, count(fish) FROM ship LEFT JOIN landing USING (ship_id) GROUP BY name",
        )
    ]
