"""The rows of one table in its objects, and the places of those that are not in the table."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from deployer.errors import OperationError
from deployer.query import reducing
from deployer.query.cache import Cache
from deployer.query.catalog import Stored
from deployer.query.columns import NUMBER, number_type
from deployer.query.reducing import PLACE, SHIFT, UNTIL, Scan
from deployer.query.tables import Contents, File
from etl.ddl import quoted

OWN = '"__lake"'
_BATCH = "_batch"
_COLUMNS_OF_DUCKDB = ("file_index", "file_row_number")


class Rows:
    """The rows of one table in its objects, and the places of those that are not in the table."""

    def __init__(
        self,
        connection: Any,
        cache: Cache,
        stored: Stored,
        contents: Contents,
        paths: Mapping[File, Path],
        *,
        number: int,
    ) -> None:
        self._connection = connection
        self._cache = cache
        self._stored = stored
        self._contents = contents
        self._paths = paths
        self._number = number
        self._types: dict[str, str] = {}
        self._raw = self._all_rows()
        kept = self._rows = self._without(self._raw, "kept", self._excluded())
        declared = stored.declared
        is_whole = len(contents.entries) == 1 and contents.entries[0].is_snapshot
        if declared.key and contents.files and not is_whole:
            what = reducing.BY_WAY[declared.way]
            places = self._dropped(self._rows, what)
            if declared.way == "replace":
                self._delete(places, self._rows, kept)
            self._rows = self._without(self._rows, "rows", places)

    @property
    def table(self) -> str:
        """The query of the table."""
        return self._query(self._rows)

    def current(self) -> str:
        """The query of a history's current state."""
        if not self._contents.files:
            return self.table
        places = self._dropped(self._rows, "outdated")
        self._delete(places, self._rows, self._raw)
        return self._query(self._without(self._rows, "current", places))

    def days(self) -> list[str]:
        """Return queries of the first and the last of all dates that were loaded."""
        dates = [name for name, kind in self._types.items() if kind == "DATE"]
        return [
            f"SELECT min({quoted(name)}) AS first, max({quoted(name)}) AS last"
            f" FROM {self._raw.relation}"
            for name in dates
        ]

    def _query(self, scan: Scan) -> str:
        number = self._stored.record_id
        columns = [f"{PLACE} AS {quoted(number)}"] if number else []
        columns += map(quoted, scan.columns)
        return f"SELECT {', '.join(columns)} FROM {scan.relation}"

    def _name(self, what: str) -> str:
        return f"{OWN}.{quoted(f'{what} {self._number}')}"

    def _all_rows(self) -> Scan:
        """Make the view of all rows, with the types of the warehouse."""
        files, declared = self._contents.files, self._stored.columns
        if not files and declared is None:
            raise OperationError(
                f"{self._stored.declared} has had no rows yet, and its pipeline does not say which "
                "columns it has."
            )
        key = self._stored.declared.key
        relation = _parquet([self._paths[file] for file in files]) if files else ""
        there = self._described(relation) if files else {}
        if taken := [name for name in there if name.lower() in _COLUMNS_OF_DUCKDB]:
            raise OperationError(
                f"{self._stored.declared} has a column {taken[0]}, which hides the one that DuckDB "
                "numbers its rows by: ask the warehouse, or rename it."
            )
        wanted = dict(declared.types) if declared else {}
        names = _same_names(there, wanted)
        self._types = {
            name: self._type(wanted.get(name), there.get(names.get(name, name)), name, relation)
            for name in {**wanted, **{name: "" for name in there if name not in names.values()}}
        }
        columns = ", ".join(
            f"{_cast(names.get(name, name) if files else None, kind, there)} AS {quoted(name)}"
            for name, kind in self._types.items()
        )
        place = f"(file_index::BIGINT << {SHIFT}) | file_row_number" if files else "0::BIGINT"
        source = f"FROM {relation}" if files else "WHERE false"
        self._connection.execute(
            f"CREATE VIEW {self._name('all')} AS SELECT {columns}, {place} AS {PLACE} {source}"
        )
        return Scan(self._name("all"), key, list(self._types))

    def _described(self, relation: str) -> dict[str, str]:
        rows = self._connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        return {str(row[0]): str(row[1]) for row in rows}

    def _type(self, declared: str | None, there: str | None, name: str, relation: str) -> str:
        """Return the type of a column, by what declares it and what the objects have."""
        if declared == NUMBER:
            if there is None:
                return number_type(0, 0)
            return self._number_type(name, relation) if there == "VARCHAR" else there
        return declared or there or "VARCHAR"

    def _number_type(self, name: str, relation: str) -> str:
        column = quoted(name)
        [[whole, places, is_plain]] = self._connection.execute(
            f"SELECT max(length(ltrim(split_part({column}, '.', 1), '+-'))),"
            f" max(length(split_part({column}, '.', 2))),"
            f" bool_and(regexp_full_match({column}, '[+-]?[0-9]*\\.?[0-9]*')) FROM {relation}"
        ).fetchall()
        return number_type(whole or 0, places or 0) if is_plain is not False else "VARCHAR"

    def _without(self, scan: Scan, what: str, places: str | None) -> Scan:
        if places is None:
            return scan
        name = self._name(what)
        self._connection.execute(
            f"CREATE VIEW {name} AS"
            f" SELECT * FROM {scan.relation} ANTI JOIN {places} USING ({PLACE})"
        )
        return Scan(name, scan.key, scan.columns)

    def _excluded(self) -> str | None:
        """Return the table of rows that never were in the warehouse, or None."""
        ranges = reducing.refilled(self._contents) if self._stored.declared.key else []
        if not (ranges or self._contents.refusals.files):
            return None
        name = self._table("excluded", f"SELECT 0::BIGINT AS {PLACE} WHERE false")
        insert = f"INSERT INTO {name}"
        for first, end in ranges if self._stored.declared.way == "history" else []:
            within = (
                f"(SELECT * FROM {self._raw.relation} WHERE {PLACE} >= {first} AND {PLACE} < {end})"
            )
            scan = Scan(f"{within} AS again", self._raw.key, self._raw.columns)
            self._connection.execute(
                f"{insert} {reducing.dropped(scan, 'outdated', f'({reducing.several(scan)})')}"
            )
        self._refuse(insert)
        return name

    def _refuse(self, insert: str) -> None:
        """Exclude the rows that are refused, and those that were superseded while they were."""
        refusals = self._contents.refusals
        lists = [(each.before, each.after) for each in refusals.superseded]
        lists += [(refusals.open_now, ())] if refusals.open_now else []
        for number, (before, after) in enumerate(lists):
            rows = self._refused(before)
            if after:
                rows = f"{rows} EXCEPT ALL {self._refused(after)}"
            name = self._table(f"refused {number}", rows)
            batches = self._connection.execute(f"SELECT DISTINCT {_BATCH} FROM {name}").fetchall()
            for [batch] in batches:
                self._refuse_of(insert, name, batch)

    def _refused(self, files: Iterable[File]) -> str:
        relation = _parquet([self._paths[file] for file in files])
        there = self._described(relation)
        names = _same_names(there, self._types)
        columns = ", ".join(
            f"{_cast(names.get(name, name), kind, there)} AS {quoted(name)}"
            for name, kind in self._types.items()
        )
        return f"SELECT {columns}, {_BATCH} FROM {relation}"

    def _refuse_of(self, insert: str, refused: str, batch: int) -> None:
        """Exclude as many rows of a batch as were refused of those that are equal."""
        span = reducing.batch_range(self._contents, batch)
        if span is None:
            return  # a snapshot has replaced that batch
        row, (first, end) = self._raw.row, span
        self._connection.execute(
            f"{insert} SELECT {PLACE} FROM (SELECT {PLACE}, {row} AS this, row_number() OVER"
            f" (PARTITION BY {row} ORDER BY {PLACE} DESC) AS copy FROM {self._raw.relation}"
            f" WHERE {PLACE} >= {first} AND {PLACE} < {end}) AS mine JOIN (SELECT {row} AS that,"
            f" count(*) AS copies FROM {refused} WHERE {_BATCH} = {batch} GROUP BY ALL) AS theirs"
            " ON this IS NOT DISTINCT FROM that WHERE copy <= copies"
        )

    def _dropped(self, scan: Scan, what: reducing.Dropped) -> str:
        """Return the table of places that are dropped, by those known of earlier objects."""
        excluded = self._name("excluded") if scan.relation == self._name("kept") else None
        says = f"{what} {PLACE} {scan.key} {self._types} {scan.relation == self._rows_relation}"
        names = reducing.digests(self._contents, says)
        is_kept = not self._contents.refusals.files
        known = reducing.longest(names, _there(self._cache)) if is_kept else 0
        before = self._cache.find(names[known - 1]) if known else None
        known = known if before else 0
        if before and known == len(names):
            query = f"SELECT {PLACE} FROM {_parquet([before], plain=True)}"
        else:
            after = reducing.keys_after(scan, known << SHIFT)
            among = self._table(f"{what} keys", after if before else reducing.several(scan))
            query = reducing.dropped(scan, what, among)
            query += (
                f" UNION SELECT {PLACE} FROM {_parquet([before], plain=True)}" if before else ""
            )
            query += f" UNION SELECT {PLACE} FROM {excluded}" if excluded else ""
        places = self._table(f"{what} places", query)
        if is_kept and known < len(names):
            self._keep(places, names[-1])
        return places

    @property
    def _rows_relation(self) -> str:
        return self._name("rows")

    def _keep(self, places: str, name: str) -> None:
        draft = self._cache.draft()
        self._connection.execute(f"COPY {places} TO {literal(str(draft))} (FORMAT parquet)")
        self._cache.adopt(name, draft)

    def _delete(self, places: str, scan: Scan, returning: Scan) -> None:
        """Add the rows of deleted keys to the places that are dropped.

        A key returns with the rows of `returning`. To a history, whose deletions are marks beside
        it, that is also one that is refused: the mark is gone as soon as the source has the key.
        """
        files = [file for entry in self._contents.entries for file in entry.tombstones]
        if not files:
            return
        relation = _parquet([self._paths[file] for file in files])
        names = _same_names(self._described(relation), self._types)
        keys = ", ".join(
            f"TRY_CAST({quoted(names.get(name, name))} AS {self._types[name]}) AS {quoted(name)}"
            for name in scan.key
        )
        limits = f"{listed(reducing.limits(self._contents))}::BIGINT[]"
        until = f"list_extract({limits}, file_index::BIGINT + 1)"
        gone = self._table("gone", f"SELECT {keys}, {until} AS {UNTIL} FROM {relation}")
        self._connection.execute(f"INSERT INTO {places} {reducing.deleted(scan, returning, gone)}")

    def _table(self, what: str, query: str) -> str:
        name = self._name(what)
        self._connection.execute(f"CREATE OR REPLACE TABLE {name} AS {query}")
        return name


def _there(cache: Cache) -> set[str]:
    return {path.name for path in cache.folder.iterdir()}


def _same_names(there: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """Return the names of columns in the objects by their declared ones, whatever their case."""
    by_case = {name.lower(): name for name in there}
    return {name: by_case[name.lower()] for name in wanted if name.lower() in by_case}


def _cast(name: str | None, kind: str, there: Collection[str]) -> str:
    if name is None or name not in there:
        return f"NULL::{kind}"
    return f"CAST({quoted(name)} AS {kind})"


def _parquet(paths: Iterable[Path], *, plain: bool = False) -> str:
    """Return the relation of some files; a folder that is called a=b is no column of theirs."""
    options = ", hive_partitioning = false" + ("" if plain else ", union_by_name = true")
    return f"read_parquet({listed([str(path) for path in paths])}{options})"


def listed(values: Iterable[str | int]) -> str:
    """Return the SQL of a list of texts or of numbers."""
    return (
        f"[{', '.join(literal(each) if isinstance(each, str) else str(each) for each in values)}]"
    )


def literal(text: str) -> str:
    """Return the SQL of a text."""
    return "'" + text.replace("'", "''") + "'"
