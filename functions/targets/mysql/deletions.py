"""The SQL of `deleted_rows`: see `functions.targets.deletions`."""

from collections.abc import Collection, Iterable
from datetime import datetime

import pyarrow as pa

from functions.common.mysql import MysqlConnection, literal, quoted
from functions.targets.mysql.catalogue import tables_of
from functions.targets.mysql.literals import insert_statements
from functions.targets.mysql.stage import create
from functions.targets.mysql.tables import moment
from functions.targets.own_tables import DELETIONS

_KEYS = "`etl_deletion_keys`"


class MysqlDeletions:
    """The table of deleted rows of one warehouse; `target` is its quoted name."""

    def __init__(self, connection: MysqlConnection, schema: str) -> None:
        self.target = f"{quoted(schema)}.{quoted(DELETIONS)}"
        self._connection = connection
        self._schema = schema
        self._has_keys = False

    def known(self, tables: Collection[str]) -> set[str]:
        """Return those of some tables that have a recorded deletion."""
        return {
            name
            for name in tables
            if self._connection.run(
                f"SELECT 1 FROM {self.target} WHERE table_name = {literal(name)} LIMIT 1"
            )
        }

    def add(self, table: str, keys: Iterable[pa.Array], at: datetime, batch: int) -> None:
        """Record that keys were deleted; a recorded deletion is not repeated."""
        for some in keys:
            self._stage(some)
            self._connection.run(
                f"INSERT INTO {self.target} (table_name, business_id, seen_gone_at, batch)"
                f" SELECT {literal(table)}, k.name, {moment(at)}, {batch} FROM {_KEYS} AS k"
                f" LEFT JOIN {self.target} AS d ON {self._of(table)}"
                f" AND d.seen_gone_at = {moment(at)} WHERE d.batch IS NULL"
            )

    def mark_returned(self, table: str, keys: Iterable[pa.Array], at: datetime) -> None:
        """Mark the deletions of keys that have returned."""
        for some in keys:
            self._stage(some)
            self._connection.run(
                f"UPDATE {_KEYS} AS k STRAIGHT_JOIN {self.target} AS d ON {self._of(table)}"
                f" SET d.seen_again_at = {moment(at)} WHERE d.seen_gone_at < {moment(at)}"
                f" AND (d.seen_again_at IS NULL OR d.seen_again_at > {moment(at)})"
            )

    def drop(self) -> None:
        """Drop the temporary table of keys."""
        if self._has_keys:
            self._connection.run(f"DROP TEMPORARY TABLE {_KEYS}")
            self._has_keys = False

    def _of(self, table: str) -> str:
        """Return the SQL condition that `d` is a deletion of the key `k`, compared by bytes."""
        return (
            f"d.table_name = {literal(table)} AND d.business_id = k.name"
            " AND CAST(d.business_id AS BINARY) = CAST(k.name AS BINARY)"
        )

    def _stage(self, keys: pa.Array) -> None:
        """Put keys into the temporary table."""
        if self._has_keys:
            self._connection.run(f"DELETE FROM {_KEYS}")
        else:
            # The table may have been created with another collation, and two cannot be compared.
            there = tables_of(self._connection, self._schema, [DELETIONS])[DELETIONS]
            text = there.definitions["business_id"]
            number = "id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY"
            create(self._connection, _KEYS, [f"name {text} NOT NULL", number])
            self._has_keys = True
        head = f"INSERT INTO {_KEYS} (name) VALUES "
        rows = pa.table({"name": keys})
        for each in insert_statements(head, rows, ["longtext"], self._connection.packet):
            self._connection.store(each)
