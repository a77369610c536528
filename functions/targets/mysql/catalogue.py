"""The tables in the server's catalogue, and this account's rights."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from functions.common.errors import DatabaseUnavailableError, WarehouseSetupError
from functions.common.mysql import MysqlConnection, ServerError, literal, quoted
from functions.targets.layout import Found

# Under these collations texts are equal only if their bytes are: binary, without padding.
_BY_BYTES = re.compile(r"\w+_nopad_bin|utf8mb4_0900_bin")
# Types with another equality than that of bytes: 1 is 1.0 in JSON, and a label is its number.
_OPAQUE = re.compile(r"json|enum|set|geometry|point|linestring|polygon|multi\w+|geom\w+")

# Statements that need a right; they are explained but not run.
_NEEDING = {
    "SELECT": "SELECT 1 FROM {table} LIMIT 0",
    "INSERT": "INSERT INTO {table} () VALUES ()",
    "UPDATE": "UPDATE {table} SET {column} = NULL",
    "DELETE": "DELETE FROM {table}",
}
DENIED = (1044, 1142, 1143, 1227, 1370)


@dataclass(frozen=True)
class MysqlFound(Found):
    """A table as the catalogue has it.

    `definitions` are the SQL of the columns' types, with their collations.
    """

    engine: str = ""
    definitions: Mapping[str, str] = field(default_factory=dict)


def tables_of(
    connection: MysqlConnection, schema: str, names: Collection[str]
) -> dict[str, MysqlFound]:
    """Return those of some tables that a database has, by these names."""
    if not names:
        return {}
    where = f"WHERE TABLE_SCHEMA = {literal(schema)} AND TABLE_NAME IN ({_texts(names)})"
    columns = _columns(connection, where)
    indexes: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for table, index, column in connection.run(
        f"SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS {where}"
        " AND INDEX_TYPE = 'BTREE' ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
    ):
        indexes[table][index] = (*indexes[table].get(index, ()), str(column))
    asked, found = _as_asked(connection, names), dict[str, MysqlFound]()
    for name, engine, created in connection.run(
        "SELECT TABLE_NAME, ENGINE, UNIX_TIMESTAMP(CREATE_TIME) FROM information_schema.TABLES"
        f" {where} AND TABLE_TYPE <> 'VIEW'"
    ):
        # Of a table that it cannot open, a server leaves out what it does not know by then: the
        # engine, or, if it was asked before the server began to stop, only the columns.
        if engine is None or not columns[name]:
            raise DatabaseUnavailableError(
                f"warehouse table {schema}.{name} cannot be opened: the server is stopping, or, if "
                "that lasts, the table is damaged (CHECK TABLE)"
            )
        mine = asked.get(name, name)
        found[mine] = replace(
            _found(connection, schema, mine, columns[name]),
            oid=int(created or 0),
            engine=engine,
            indexes=frozenset(indexes[name].values()),
        )
    return found


def _as_asked(connection: MysqlConnection, names: Collection[str]) -> dict[str, str]:
    """Return names by their form on a server that stores all in lower case, as on Windows.

    https://dev.mysql.com/doc/refman/8.4/en/identifier-case-sensitivity.html
    """
    [[is_lower]] = connection.run("SELECT @@lower_case_table_names")
    return {name.lower(): name for name in names} if int(is_lower) else {}


@dataclass(frozen=True)
class _Column:
    name: str
    kind: str
    is_nullable: bool
    has_default: bool
    extra: str
    collation: str | None

    @property
    def is_generated(self) -> bool:
        return "GENERATED" in self.extra.replace("DEFAULT_GENERATED", "")

    @property
    def is_numbered(self) -> bool:
        return "auto_increment" in self.extra

    @property
    def is_required(self) -> bool:
        return not (self.is_nullable or self.has_default or self.is_generated or self.is_numbered)

    @property
    def is_opaque(self) -> bool:
        by_collation = self.collation is not None and not _BY_BYTES.fullmatch(self.collation)
        return by_collation or _OPAQUE.fullmatch(self.kind.partition("(")[0]) is not None

    @property
    def definition(self) -> str:
        if self.collation is None:
            return self.kind
        charset = self.collation.partition("_")[0]
        return f"{self.kind} CHARACTER SET {charset} COLLATE {self.collation}"


def _columns(connection: MysqlConnection, where: str) -> Mapping[str, list[_Column]]:
    columns: dict[str, list[_Column]] = defaultdict(list)
    for table, name, kind, is_nullable, default, extra, collation in connection.run(
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE = 'YES', COLUMN_DEFAULT, EXTRA,"
        f" COLLATION_NAME FROM information_schema.COLUMNS {where}"
        " ORDER BY TABLE_NAME, ORDINAL_POSITION"
    ):
        columns[table].append(
            _Column(name, kind, bool(is_nullable), default is not None, extra, collation)
        )
    return columns


def _found(
    connection: MysqlConnection, schema: str, name: str, columns: list[_Column]
) -> MysqlFound:
    """Return a table by its columns."""
    return MysqlFound(
        schema,
        name,
        0,
        None,
        {column.name: column.kind for column in columns},
        [column.name for column in columns if column.is_numbered],
        [column.name for column in columns if column.is_required],
        frozenset(column.name for column in columns if column.is_opaque),
        frozenset(_denied(connection, f"{quoted(schema)}.{quoted(name)}", columns)),
        definitions={column.name: column.definition for column in columns},
    )


def _denied(connection: MysqlConnection, table: str, columns: list[_Column]) -> Iterator[str]:
    """Yield the rights that this account lacks, whether granted directly or by a role."""
    column = quoted(columns[0].name) if columns else "x"
    for right, statement in _NEEDING.items():
        try:
            connection.run(f"EXPLAIN {statement.format(table=table, column=column)}")
        except ServerError as error:  # other errors are about the statement
            if error.condition.code in DENIED:
                yield right


def require_engine(found: MysqlFound) -> None:
    """Raise WarehouseSetupError for a table without transactions."""
    if found.engine.lower() != "innodb":
        table = f"{quoted(found.schema)}.{quoted(found.name)}"
        raise WarehouseSetupError(
            f"warehouse table {found.schema}.{found.name} is kept by {found.engine},"
            f" so that a batch could come in by half: ALTER TABLE {table} ENGINE=InnoDB"
        )


def require_temporary_tables(connection: MysqlConnection, schema: str) -> None:
    """Raise WarehouseSetupError if this account may not create temporary tables in a database."""
    try:
        connection.run(f"CREATE TEMPORARY TABLE {quoted(schema)}.`etl_probe` (n int PRIMARY KEY)")
        connection.run(f"DROP TEMPORARY TABLE {quoted(schema)}.`etl_probe`")
    except ServerError as error:
        if error.condition.code not in DENIED:
            raise
        raise WarehouseSetupError(
            f"no right to create temporary tables, in which rows are compared: GRANT CREATE "
            f"TEMPORARY TABLES ON {quoted(schema)}.* TO the account of the warehouse's URL"
        ) from None


def _texts(names: Collection[str]) -> str:
    return ", ".join(map(literal, names))
