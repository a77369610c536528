"""The recorded history of facts: every committed version of every row, kept by the source itself.

Written apart from the functions. Triggers write each version into tables of a separate schema,
with the transaction that made it, in the order in which a row got them: the lock on a row, or on
its place in the index of keys, lets no two transactions write it in another order.
"""

from collections import defaultdict
from collections.abc import Mapping
from itertools import groupby

from local.connection import connect
from tests.pipeline.oracle import EXPECTED, RECORD_IDS
from tests.pipeline.warehouse_rows import rows_in
from tests.postgres_fixtures import Source, Warehouse

FACTS = {fact: fact.removeprefix("fact_") for fact in RECORD_IDS}

_DATES = {
    "sales_order": ("agreed_delivery_date", "agreed_payment_date"),
    "purchase_order": ("agreed_delivery_date", "agreed_payment_date"),
    "payment": ("payment_date",),
}
_MONEY = {
    "sales_order": "unit_price",
    "purchase_order": "item_unit_price",
    "payment": "payment_amount",
}

Row = tuple[object, ...]
States = dict[tuple[str, int], list[Row]]  # by fact and business id, oldest first
NOTHING: Mapping[str, int] = {}


def fit(table: str) -> str:
    """Return the SQL that is true for rows of a table that a warehouse can hold by themselves."""
    dates = (
        f"{column} ~ '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$' AND pg_input_is_valid({column}, 'date')"
        for column in _DATES[table]
    )
    stamps = (
        f"{column} >= '0001-01-01' AND {column} < '10000-01-01'"
        for column in ("created_at", "last_updated")
    )
    return " AND ".join([*dates, *stamps, f"{_MONEY[table]} <> 'NaN'"])


def record(source: Source) -> None:
    """Let the source keep every version of its facts from now on, and those that it has."""
    with connect(source.superuser_url) as connection:
        connection.run("CREATE SCHEMA audit")
        for table in FACTS.values():
            connection.run(
                f"CREATE TABLE audit.{table}"
                f" (seq bigserial, made_by xid8, gone boolean, LIKE public.{table});"
                f"CREATE FUNCTION audit.keep_{table}() RETURNS trigger LANGUAGE plpgsql AS $$"
                f" DECLARE seq bigint = nextval('audit.{table}_seq_seq'); BEGIN"
                " IF TG_OP = 'DELETE' THEN"
                f" INSERT INTO audit.{table} SELECT seq, pg_current_xact_id(), true, OLD.*;"
                f" ELSE INSERT INTO audit.{table} SELECT seq, pg_current_xact_id(), false, NEW.*;"
                " END IF; RETURN NULL; END $$;"
                f"CREATE TRIGGER keep AFTER INSERT OR UPDATE OR DELETE ON public.{table}"
                f" FOR EACH ROW EXECUTE FUNCTION audit.keep_{table}();"
                f"INSERT INTO audit.{table} SELECT nextval('audit.{table}_seq_seq'),"
                f" pg_current_xact_id(), false, * FROM public.{table}"
            )


class RecordedHistory:
    """The commits of a source, also in histories of it that ended.

    A restore or a crash takes a source back to an earlier state, and its recorded history with it.
    Later commits were seen all the same: they come first, then the state that the source went
    back to, then what follows.
    """

    def __init__(self, source: Source) -> None:
        """Let the source record its history."""
        record(source)
        self._source = source
        self._ended: States = {}
        self._restored: dict[str, int] = {}

    def end(self) -> None:
        """Keep the present history; nobody may write until it has ended and the next one begins."""
        self._ended = self.versions()

    def begin(self) -> None:
        """Begin a history with the present state of the source."""
        with connect(self._source.superuser_url) as connection:
            self._restored = {
                table: connection.run(f"SELECT coalesce(max(seq), 0) FROM audit.{table}")[0][0]
                for table in FACTS.values()
            }

    def versions(self) -> States:
        """Return the committed versions of every fact in all histories, in order."""
        now = committed_versions(self._source, self._restored)
        return {
            key: self._ended.get(key, []) + now.get(key, []) for key in self._ended.keys() | now
        }


def committed_versions(source: Source, restored: Mapping[str, int] = NOTHING) -> States:
    """Return the versions of every fact that anybody could have seen and a warehouse can hold.

    Of those that one transaction made of a row, the last is the only one that others saw. Of those
    up to the sequence number in `restored`, by table, the last is the one that was restored.
    """
    states: States = {}
    with connect(source.superuser_url) as connection:
        for fact, table in FACTS.items():
            star = EXPECTED[fact].replace("SELECT ", "SELECT seq, ", 1)
            star = star.replace(f"FROM {table}", f"FROM audit.{table} WHERE {fit(table)}")
            rows = {seq: tuple(row) for seq, *row in connection.run(star)}
            order = connection.run(
                f"SELECT {table}_id, made_by::text, seq, gone FROM audit.{table} ORDER BY 1, 3"
            )
            for (key, _), made in groupby(order, key=lambda version: (version[0], version[1])):
                *_, (_, _, seq, gone) = made
                versions = states.setdefault((fact, key), [])
                if seq <= restored.get(table, 0):
                    versions.clear()
                if seq in rows and not gone:
                    versions.append(rows[seq])
    return states


def fit_now(source: Source) -> States:
    """Return the one state of every fact that is committed now and that a warehouse can hold."""
    with connect(source.superuser_url) as connection:
        return {
            (fact, row[0]): [tuple(row)]
            for fact, table in FACTS.items()
            for row in connection.run(f"{EXPECTED[fact]} WHERE {fit(table)}")
        }


def warehouse_history(warehouse: Warehouse) -> States:
    """Return all records of every fact, oldest first, without their record ids."""
    states: defaultdict[tuple[str, int], list[Row]] = defaultdict(list)
    for fact, record_id in RECORD_IDS.items():
        for _, *row in rows_in(warehouse, f"SELECT * FROM {fact} ORDER BY {record_id}"):
            states[(fact, row[0])].append(tuple(row))
    return dict(states)


def distinct_neighbours(states: list[Row]) -> list[Row]:
    """Return states without those that say what the one before them said."""
    return [state for state, _ in groupby(states)]


def is_subsequence(some: list[Row], of: list[Row]) -> bool:
    """Return whether `some` are among `of`, in the same order."""
    left = iter(of)
    return all(state in left for state in some)
