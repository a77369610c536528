"""The rows in quarantine, in the documents of the processed log."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from functions.common.objects import QuarantineKey, Sha256


class MarksFile(Struct, frozen=True):
    """The object with the marks of a part's rows: see `functions.transform.marks`."""

    file: QuarantineKey
    sha256: Sha256


class QuarantinePart(Struct, frozen=True):
    """Rows in quarantine, in one object; only a large one has `marks`."""

    file: QuarantineKey
    rows: Annotated[int, Meta(ge=1)]
    sha256: Sha256
    marks: MarksFile | None = None


class AbsentFile(Struct, frozen=True):
    """The object with the keys of a table's parents that are absent, where they are many."""

    file: QuarantineKey
    rows: Annotated[int, Meta(ge=1)]
    sha256: Sha256


class Quarantine(Struct, frozen=True):
    """The rows of one source table in quarantine after a batch: in one object, or in `parts`."""

    rows: Annotated[int, Meta(ge=1)]
    file: QuarantineKey | None = None
    sha256: Sha256 | None = None
    parts: list[QuarantinePart] = []

    @classmethod
    def of(cls, parts: Sequence[QuarantinePart]) -> "Quarantine | None":
        """Return the entry of parts, None without any."""
        match parts:
            case []:
                return None
            case [QuarantinePart(file, rows, sha256, None)]:
                return cls(rows, file, sha256)
        return cls(sum(part.rows for part in parts), parts=list(parts))

    @property
    def all_parts(self) -> list[QuarantinePart]:
        """All objects with its rows."""
        if self.file is None or self.sha256 is None:
            return self.parts
        return [QuarantinePart(self.file, self.rows, self.sha256)]

    @property
    def objects(self) -> list[str]:
        """The keys of all objects."""
        parts = self.all_parts
        return [*(part.file for part in parts), *(part.marks.file for part in parts if part.marks)]

    def __post_init__(self) -> None:
        """Raise ValueError unless it names objects, with as many rows as it says."""
        is_one = self.file is not None and self.sha256 is not None
        if is_one == bool(self.parts) or sum(part.rows for part in self.all_parts) != self.rows:
            raise ValueError("a quarantine names no object, or not as many rows as it has")
