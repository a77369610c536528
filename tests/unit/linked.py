"""The smallest document of a log."""

import msgspec

from functions.common.longlists import ListFile
from functions.common.manifests import Entry


class Linked(Entry, frozen=True):
    """A document that has what every log sets, and nothing else."""

    previous_sha256: str | None = None
    elsewhere: dict[str, ListFile] | msgspec.UnsetType = msgspec.UNSET
