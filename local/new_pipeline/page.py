"""Write the declaration of tables that were found, as a person would."""

import builtins
import json
import keyword
import re
from collections.abc import Callable, Iterable, Iterator

import etl
from etl.tables import OWN_COLUMNS
from local.new_pipeline.catalogue import FoundColumn, FoundReference, FoundTable, Name

Typed = tuple[str, list[str]]
"""A type as `etl` calls it, and what is said of it."""

_TYPES: list[tuple[re.Pattern[str], Callable[[re.Match[str]], Typed]]] = [
    (re.compile(pattern), typed)
    for pattern, typed in [
        (r"smallint", lambda _: ("SmallInteger", [])),
        (r"integer", lambda _: ("Integer", [])),
        (r"bigint", lambda _: ("BigInteger", [])),
        (r"numeric\((\d{1,2}),(\d{1,2})\)", lambda found: ("Numeric", [*found.groups()])),
        (r"numeric(\(.*\))?", lambda _: ("Numeric", [])),
        (r"real", lambda _: ("Real", [])),
        (r"double precision", lambda _: ("Double", [])),
        (r"text|(.+\.)?citext|character( varying)?(\(\d+\))?", lambda _: ("Text", [])),
        (r"boolean", lambda _: ("Boolean", [])),
        (r"date", lambda _: ("Date", [])),
        (r"time(\(\d\))? without time zone", lambda _: ("Time", [])),
        (r"time(\(\d\))? with time zone", lambda _: ("Time", ["timezone=True"])),
        (r"timestamp(\(\d\))? without time zone", lambda _: ("Timestamp", [])),
        (r"timestamp(\(\d\))? with time zone", lambda _: ("Timestamp", ["timezone=True"])),
        (r"interval( [a-z ]+)?(\(\d\))?", lambda _: ("Interval", [])),
        (r"uuid", lambda _: ("Uuid", [])),
        (r"json", lambda _: ("Json", [])),
        (r"jsonb", lambda _: ("Json", ["binary=True"])),
        (r"bytea", lambda _: ("Bytes", [])),
    ]
]

TAKEN = {*dir(builtins), *keyword.kwlist, *etl.__all__, "PIPELINE"}

HEAD = '''"""{name}: {tables} tables of a PostgreSQL database, kept in a warehouse as they are.

A table that others refer to has its newest values in the warehouse (`latest`). One that refers to
others, and that none refers to, records what happened: each state of its rows that was seen is kept
(`history`). Change either word where you know better. To shape a table, replace it by a function:
see "Write a pipeline" in docs/.
"""

from etl import (
{imports}
)
'''


def page(name: str, tables: Iterable[FoundTable]) -> str:
    """Return the source of `pipeline.py` for the tables that have a key and may be read."""
    return _Page(name, [table for table in tables if table.key and table.may_read]).text()


def ways(tables: Iterable[FoundTable]) -> dict[Name, str]:
    """Return `latest` or `history` for each table, by who refers to whom."""
    known = list(tables)
    refers_to = {
        table.known_as: {each.table for each in table.references} - {table.known_as}
        for table in known
    }
    parents = set().union(*refers_to.values())
    return {
        name: "history" if others and name not in parents else "latest"
        for name, others in refers_to.items()
    }


def type_of(column: FoundColumn) -> Typed:
    """Return the type of a column as `etl` calls it, and what is said of it."""
    if column.kind == "e":
        return "Text", []
    if column.element_kind:
        of, said = type_of(FoundColumn("", column.element, column.element_kind, True, "", ""))
        return "Array", [f"{of}({', '.join(said)})"]
    for pattern, typed in _TYPES:
        if found := pattern.fullmatch(column.sql):
            return typed(found)
    return "Other", [_quoted(column.sql)]


class _Page:
    def __init__(self, name: str, tables: list[FoundTable]) -> None:
        self._name = name
        self._tables = _parents_first(tables)
        self._variables = _variables(self._tables)
        self._ways = ways(self._tables)
        self._keys = {table.known_as: table.key for table in self._tables}
        self._written: set[Name] = set()
        self._used: set[str] = {"Pipeline", "Postgres", "PostgresWarehouse", "Table"}

    def text(self) -> str:
        tables = "".join(f"\n{self._table(table)}\n" for table in self._tables)
        pipeline = "\n".join(self._pipeline())
        imports = "\n".join(f"    {word}," for word in sorted(self._used, key=_as_sorted))
        head = HEAD.format(name=self._name, tables=len(self._tables), imports=imports)
        return f"{head}{tables}\n{pipeline}\n"

    def _table(self, table: FoundTable) -> str:
        variable, keys = self._variables[table.known_as], [_quoted(name) for name in table.key]
        key = keys[0] if len(keys) == 1 else f"({', '.join(keys)})"
        lines = [f"{variable} = Table(", f"    {_quoted(table.name)},", f"    key={key},"]
        lines.append("    columns={")
        several = [each for each in self._references(table) if len(each.columns) > 1]
        lines += [
            f"        {line}{'' if line.startswith('#') else ','}" for line in self._columns(table)
        ]
        lines.append("    },")
        if several:
            lines.append("    references={")
            lines += [
                f"        {_tuple(each.columns)}: {self._named(table, each)}," for each in several
            ]
            lines.append("    },")
        if table.schema != "public":
            lines.append(f"    schema={_quoted(table.schema)},")
        if variable != table.name:
            lines.append(f'    alias="{variable}",')
        self._written.add(table.known_as)
        return "\n".join([*lines, ")"])

    def _columns(self, table: FoundTable) -> Iterator[str]:
        single = {
            each.columns[0]: each for each in self._references(table) if len(each.columns) == 1
        }
        for column in table.columns:
            if column.name in OWN_COLUMNS and column.name not in table.key:
                yield f"# {_quoted(column.name)} is left out: the engine has a column of that name"
                continue
            kind, said = type_of(column)
            self._used.add(kind)
            if kind == "Array":
                self._used.add(said[0].partition("(")[0])
            if not column.not_null:
                said = [*said, "nullable=True"]
            if column.name in single:
                said = [*said, f"references={self._named(table, single[column.name])}"]
            yield f"{_quoted(column.name)}: {kind}({', '.join(said)})"
        for each in table.references:
            if each.table not in self._written and each.table != table.known_as:
                names = ", ".join(each.columns)
                yield f"# {names} refers to {self._variables[each.table]}, which refers back"

    def _references(self, table: FoundTable) -> Iterator[FoundReference]:
        """Yield the references that lead to the key of a table that stands above, or to itself."""
        seen: set[tuple[str, ...]] = set()
        for reference in table.references:
            is_known = reference.table in self._written or reference.table == table.known_as
            leads = self._keys.get(reference.table) == reference.to
            if is_known and leads and reference.columns not in seen:
                seen.add(reference.columns)
                yield reference

    def _named(self, table: FoundTable, reference: FoundReference) -> str:
        if reference.table == table.known_as:
            self._used.add("SELF")
            return "SELF"
        return self._variables[reference.table]

    def _pipeline(self) -> Iterator[str]:
        variables = [self._variables[table.known_as] for table in self._tables]
        yield "SOURCE_TABLES = ("
        yield from (f"    {variable}," for variable in variables)
        yield ")"
        yield "TARGET_TABLES = ("
        names = [table.name for table in self._tables]
        for table, variable in zip(self._tables, variables, strict=True):
            way = self._ways[table.known_as]
            self._used.add(way)
            is_shared = names.count(table.name) > 1
            name = f", name={_quoted(f'{table.schema}_{table.name}')}" if is_shared else ""
            yield f"    {way}({variable}{name}),"
        yield ")"
        yield ""
        yield "PIPELINE = Pipeline("
        yield '    sources=[Postgres("source", SOURCE_TABLES)],'
        yield '    targets=[PostgresWarehouse("warehouse", TARGET_TABLES)],'
        yield ")"


def _parents_first(tables: list[FoundTable]) -> list[FoundTable]:
    """Return tables so that each stands below those that it refers to, as far as that can be."""
    ordered: list[FoundTable] = []
    left = list(tables)
    while left:
        names = {table.known_as for table in left}
        free = [
            table
            for table in left
            if not {each.table for each in table.references} & (names - {table.known_as})
        ]
        for table in free or [_of_circle(left)]:
            ordered.append(table)
            left.remove(table)
    return ordered


def _of_circle(tables: list[FoundTable]) -> FoundTable:
    """Return a table that refers to itself over others, where each table refers to another."""
    by_name = {table.known_as: table for table in tables}
    table, seen = tables[0], set[Name]()
    while table.known_as not in seen:
        seen.add(table.known_as)
        table = next(
            by_name[each.table]
            for each in table.references
            if each.table in by_name and each.table != table.known_as
        )
    return table


def _variables(tables: list[FoundTable]) -> dict[Name, str]:
    """Return a name in Python for each table: its own where that is possible."""
    names: dict[Name, str] = {}
    counts = [table.name for table in tables]
    for table in tables:
        own = f"{table.schema}_{table.name}" if counts.count(table.name) > 1 else table.name
        own = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", own)  # MediaType is media_type
        stem = re.sub(r"\W+", "_", own, flags=re.ASCII).strip("_").lower() or "table"
        stem = f"table_{stem}" if stem[0].isdigit() else stem
        variable = f"{stem}_" if stem in TAKEN else stem
        number = 2
        while variable in names.values():
            variable, number = f"{stem}_{number}", number + 1
        names[table.known_as] = variable
    return names


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _tuple(names: Iterable[str]) -> str:
    return f"({', '.join(_quoted(name) for name in names)})"


def _as_sorted(word: str) -> tuple[int, str]:
    """Return where a word stands in a sorted import: constants, classes, functions."""
    return (0 if word.isupper() else 1 if word[0].isupper() else 2), word
