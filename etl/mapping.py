"""How a target table is made from tables of one source, and which rows have to join."""

from collections.abc import Iterable
from dataclasses import dataclass

from etl.errors import DeclarationError
from etl.sources import Source
from etl.tables import Reference, Table
from etl.targets import TargetTable


@dataclass(frozen=True)
class Join:
    """Rows of `table` that are joined under a parameter.

    They are those to which `columns` of the rows under the parameter `child` refer. A row of the
    child may have none if the join is `optional`.
    """

    parameter: str
    table: Table
    child: str
    columns: tuple[str, ...]
    optional: bool


@dataclass(frozen=True, eq=False)
class Mapping:
    """A target table, the source table from whose rows it is made, and the tables that are joined.

    Each join comes after the one that its `child` names.
    """

    target: TargetTable
    main: Table
    joins: tuple[Join, ...]

    @property
    def parameter(self) -> str:
        """The function's name for the rows of the main table."""
        return self.target.parameters[0]

    @property
    def tables(self) -> tuple[Table, ...]:
        """The main table and the joined ones, each once."""
        return tuple(dict.fromkeys([self.main, *(join.table for join in self.joins)]))


def resolved(target: TargetTable, sources: Iterable[Source]) -> Mapping:
    """Return a target table with the source tables that its parameters name.

    Raises DeclarationError for a parameter that is no table, or to which no reference leads.
    """
    if not target.parameters:
        raise DeclarationError(f"{target}: its function takes no table: name one as its parameter")
    first = target.parameters[0]
    for source in sources:
        by_name = {table.parameter: table for table in source.tables}
        if first in by_name and target.copy_of in (None, by_name[first]):
            mapping = Mapping(target, by_name[first], _joins(target, by_name))
            _require_key(mapping)
            return mapping
    raise DeclarationError(f"{target}: {first} is no table of any source")


def _joins(target: TargetTable, tables: dict[str, Table]) -> tuple[Join, ...]:
    first, *others = target.parameters
    known: dict[str, Table] = {first: tables[first]}
    joins: list[Join] = []
    left = list(others)
    while left:
        found = [join for name in left if (join := _join(target, name, known, tables))]
        if not found:
            raise DeclarationError(
                f"{target}: no reference leads to {left[0]}: declare the column that refers to it "
                "with references=…, or name the column in joins={…}"
            )
        for join in found:
            joins.append(join)
            known[join.parameter] = join.table
            left.remove(join.parameter)
    return tuple(joins)


def _join(
    target: TargetTable, name: str, known: dict[str, Table], tables: dict[str, Table]
) -> Join | None:
    """Return the join of a parameter to a known one; None if not known yet."""
    if name in target.joins:
        child, _, column = target.joins[name].rpartition(".")
        child = child or target.parameters[0]
        if child not in known:
            return None
        found = [(child, each) for each in known[child].all_references() if column in each.columns]
    elif name in tables:
        found = [
            (child, each)
            for child, table in known.items()
            for each in table.all_references()
            if each.table is tables[name]
        ]
    else:
        raise DeclarationError(f"{target}: {name} is no table of the source: check the parameter")
    if len(found) > 1:
        choices = " or ".join(f"{child}.{', '.join(each.columns)}" for child, each in found)
        raise DeclarationError(
            f"{target}: {choices} may lead to {name}: say which with joins={{{name!r}: …}}"
        )
    return next((_as_join(name, child, each) for child, each in found), None)


def _as_join(name: str, child: str, reference: Reference) -> Join:
    return Join(name, reference.table, child, reference.columns, reference.is_optional)


def _require_key(mapping: Mapping) -> None:
    """Raise DeclarationError unless a row of the target has a row of the main table."""
    target = mapping.target
    if not mapping.main.keys and (target.way != "replace" or target.key):
        raise DeclarationError(
            f"{target}: {mapping.main} has no key, so it can only be `replace` and have none either"
        )
    if len(target.key) != len(mapping.main.keys):
        raise DeclarationError(
            f"{target}: its key has {len(target.key)} columns and that of {mapping.main} has "
            f"{len(mapping.main.keys)}: each row is made of one row of {mapping.main.name}"
        )
    if target.copy_of is not None and target.key != mapping.main.keys:
        raise DeclarationError(
            f"{target}: a copy has the key of its table, {', '.join(mapping.main.keys)}"
        )
