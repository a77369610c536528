"""Where the tests put servers and sandboxes: thousands of files, which soon go again."""

import os
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108  # nosec B108  folders in it have random names
ROOM_BYTES = 4 << 30  # four processes of tests take 0.94 each at most


def fast_folder() -> str | None:
    """Return a file system in memory with room, from which programs may be run; None without one.

    A disk that discards what is deleted takes ten seconds for the 120 MB of an empty MySQL.
    """
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK | os.X_OK):
        return None
    found = os.statvfs(MEMORY)
    has_room = found.f_bavail * found.f_frsize >= ROOM_BYTES
    return str(MEMORY) if has_room and not found.f_flag & os.ST_NOEXEC else None
