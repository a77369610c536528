"""Where the tests put databases: hundreds of them, of hundreds of small files each."""

import os
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108  # nosec B108  folders in it have random names
ROOM_BYTES = 12 << 30  # of which a whole run takes 8


def fast_folder() -> str | None:
    """Return a file system in memory with room, from which programs may be run; None without one.

    A disk that discards what is deleted takes minutes to remove the databases of a whole run.
    """
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK | os.X_OK):
        return None
    found = os.statvfs(MEMORY)
    has_room = found.f_bavail * found.f_frsize >= ROOM_BYTES
    return str(MEMORY) if has_room and not found.f_flag & os.ST_NOEXEC else None
