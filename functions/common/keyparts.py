"""The keys of a table that are not single integers, as the manifests name their objects."""

from typing import Annotated

from msgspec import Meta, Struct

from functions.common.objects import KeyFile


class KeyPart(KeyFile, frozen=True):
    """The keys of a range of buckets: those after the part before, up to `last`."""

    last: Annotated[int, Meta(ge=-(2**15), le=2**15 - 1)]


class KeyParts(Struct, frozen=True):
    """The keys of a table that are not single integers, ordered by bucket.

    `digests` are those of the buckets; `patch` has the keys added and removed since a part was
    written. A table without rows has neither.
    """

    digests: KeyFile | None = None
    parts: list[KeyPart] = []
    patch: KeyFile | None = None

    @property
    def files(self) -> list[KeyFile]:
        """All objects."""
        return [file for file in (self.digests, self.patch, *self.parts) if file is not None]
