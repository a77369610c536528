"""Which row is asked for: its table, its key, and how the table is made."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from deployer.errors import SettingsError
from deployer.why.keys import Key
from etl import Column, Pipeline
from etl.mapping import Mapping
from etl.sources import Source
from etl.targets import TargetTable


@dataclass(frozen=True)
class Asked:
    """A row of a target table, by its key in some `columns`, and the source that it comes from."""

    source: Source
    mapping: Mapping
    key: Key
    columns: tuple[str, ...]

    @property
    def has_key(self) -> bool:
        """Whether the key is that of the table; without one, all rows with its values count."""
        return bool(self.mapping.target.key)

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The columns of the source table that have the key's values."""
        return self.mapping.main.keys if self.has_key else self.columns

    @property
    def marked(self) -> str:
        """The text by which the index knows the key; rows of a table without one are all alike."""
        return self.key.text if self.has_key else ""

    @property
    def target(self) -> str:
        """The id of the target table."""
        return self.mapping.target.id

    @property
    def table(self) -> str:
        """The id of the source table from whose rows it is made."""
        return self.mapping.main.id


def asked(pipeline: Pipeline, sources: Collection[str], table: str, texts: Sequence[str]) -> Asked:
    """Return the row of a table, by name, that has a key of some texts.

    Raises SettingsError for a table that there is not, and for no key of it.
    """
    there = [
        (source, mapping)
        for source in pipeline.sources
        if source.name in sources
        for mapping in pipeline.mappings(source.name)
    ]
    found = [each for each in there if table.lower() in _names(each[1].target)]
    if len(found) != 1:
        what = "no target table" if not found else "more than one target table"
        named = ", ".join(sorted(_full_name(mapping.target) for _, mapping in found or there))
        raise SettingsError([f"there is {what} {table}. There are: {named}"])
    [(source, mapping)] = found
    columns, values = _named(mapping, texts)
    if len(values) != len(columns):
        raise SettingsError(
            [f"{mapping.target} has the key {', '.join(columns)}: write {len(columns)} of KEY"]
        )
    kinds = _kinds(mapping, columns)
    key = Key.of(kinds, values)
    if key is None:
        types = ", ".join(type(kind).__name__ for kind in kinds)
        raise SettingsError([f"{', '.join(columns)} of {mapping.target} is {types}, and KEY not"])
    return Asked(source, mapping, key, columns)


def _names(target: TargetTable) -> set[str]:
    """Return what a table may be called: with its schema, and without."""
    return {name.lower() for name in (target.name, _full_name(target), target.id)}


def _full_name(target: TargetTable) -> str:
    return f"{target.schema}.{target.name}" if target.schema else target.name


def _named(mapping: Mapping, texts: Sequence[str]) -> tuple[tuple[str, ...], Sequence[str]]:
    """Return columns and their values; rows of a table without a key are named as COLUMN=VALUE."""
    target = mapping.target
    if target.key:
        return target.key, texts
    pairs = [text.partition("=") for text in texts]
    columns = tuple(name for name, _, _ in pairs)
    there = target.columns or mapping.main.columns
    if any(not equals for _, equals, _ in pairs) or not set(columns) <= set(there):
        raise SettingsError(
            [f"{target} has no key: write COLUMN=VALUE, of the columns {', '.join(there)}"]
        )
    return columns, [value for _, _, value in pairs]


def _kinds(mapping: Mapping, columns: Sequence[str]) -> list[Column]:
    if mapping.target.key:
        return [mapping.main.columns[name] for name in mapping.main.keys]
    there = {**mapping.main.columns, **(mapping.target.columns or {})}
    return [there[name] for name in columns]
