"""A day in the harbour."""

from collections.abc import Mapping
from datetime import datetime


def files(source: str, now: datetime) -> Mapping[str, bytes]:
    """Return the files of the first day."""
    return {
        "ship.csv": "ship_id,name,length\n1,Möwe,12.50\n2,L'Étoile,9.00\n".encode(),
        "captain.csv": b"ship_id,name\n1,Ahab\n2,\n",
        "landing.csv": b"ship_id,day,fish\n1,2025-01-30,cod\n1,2025-01-30,cod\n2,2025-01-31,eel\n",
    }
