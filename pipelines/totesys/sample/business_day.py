"""The shop at work while the sandbox is up: it orders, pays, and changes rows without a trace.

Everything is done with the rights of the shop's own role. The clock and the random numbers are
arguments, so that a day can be repeated.
"""

from collections import Counter
from datetime import datetime, time, timedelta
from random import Random

import pg8000.native
from pg8000.native import identifier

from local.connection import transaction
from pipelines.totesys.sample.dimensions import FOLDERS, Row, design
from pipelines.totesys.sample.orders import Occasion, item_code, purchase, sale

PAYING_RUN = time(7, 55, 11, 830_000)

# How often each happens in a minute of trading. The real shop changes something silently about once
# a day; here there should be something to see.
SILENT_UPDATE = 0.3
NEW_DESIGN = 0.1
BACK_DATED = 0.1

# What is known to change while last_updated stays as it was. Each gives a value that differs.
SILENT_UPDATES = {
    "sales_order": (
        "design_id = CASE design_id WHEN 1 THEN 2 ELSE design_id - 1 END",
        "staff_id = staff_id % 20 + 1",
        "agreed_delivery_date = (agreed_delivery_date::date + 3)::text",
        "agreed_delivery_location_id = agreed_delivery_location_id % 30 + 1",
    ),
    "purchase_order": (
        "staff_id = staff_id % 20 + 1",
        "item_code = :item_code",
        "agreed_delivery_date = (agreed_delivery_date::date + 3)::text",
        "agreed_delivery_location_id = agreed_delivery_location_id % 30 + 1",
    ),
    "design": ("file_location = :folder",),
}


def trade(connection: pg8000.native.Connection, rng: Random, now: datetime) -> dict[str, int]:
    """Do a minute's work at `now` (UTC, without zone); return how many of what.

    The keys are `sales`, `purchases`, `designs`, `paid` and `silent`. Works on any day at any hour,
    unlike the real shop. `connection` is one of the writer role, with no transaction open.
    """
    done = Counter(sales=0, purchases=0, designs=0, paid=pay_what_is_due(connection, now), silent=0)
    if rng.random() < NEW_DESIGN:
        draw_design(connection, rng, now)
        done["designs"] += 1
    for _ in range(rng.randint(1, 3)):
        # All that is ordered in this minute has one and the same stamp.
        done[place_order(connection, rng, now)] += 1
    if rng.random() < BACK_DATED:
        done[place_order(connection, rng, now - timedelta(days=rng.randint(1, 5)))] += 1
    if rng.random() < SILENT_UPDATE:
        done["silent"] += update_silently(connection, rng)
    return dict(done)


def place_order(connection: pg8000.native.Connection, rng: Random, at: datetime) -> str:
    """Order something as of `at`, in one database transaction; return `sales` or `purchases`."""
    is_sale = rng.random() < 0.7
    table = "sales_order" if is_sale else "purchase_order"
    with transaction(connection):
        on = Occasion(
            order_id=_next_id(connection, table),
            transaction_id=_next_id(connection, "transaction"),
            payment_id=_next_id(connection, "payment"),
            day=at.date(),
            stamp=_stamp(at),
        )
        made = sale(rng, on, _pick(connection, rng, "design")) if is_sale else purchase(rng, on)
        _insert(connection, table, made.order)
        _insert(connection, "transaction", made.transaction)
        _insert(connection, "payment", made.payment)
    return "sales" if is_sale else "purchases"


def draw_design(connection: pg8000.native.Connection, rng: Random, at: datetime) -> None:
    """Add a design."""
    _insert(connection, "design", design(rng, _next_id(connection, "design"), _stamp(at)))


def pay_what_is_due(connection: pg8000.native.Connection, now: datetime) -> int:
    """Turn the payments of today paid, as the run at 07:55:11 does; return how many."""
    run = datetime.combine(now.date(), PAYING_RUN)
    if now < run:
        return 0
    connection.run(
        "UPDATE payment SET paid = true, last_updated = :run"
        " WHERE NOT paid AND payment_date = :today AND created_at < :run",
        run=run,
        today=now.date().isoformat(),
    )
    return int(connection.row_count)


def update_silently(connection: pg8000.native.Connection, rng: Random) -> int:
    """Change one column of one row but not its `last_updated`; return how many rows changed."""
    table = rng.choice(list(SILENT_UPDATES))
    values = {"item_code": item_code(rng), "folder": f"{rng.choice(FOLDERS)}/{item_code(rng)}"}
    connection.run(
        f"UPDATE {identifier(table)} SET {rng.choice(SILENT_UPDATES[table])}"  # nosec B608
        f" WHERE {table}_id = :id",
        id=_pick(connection, rng, table),
        **values,
    )
    return int(connection.row_count)


def _pick(connection: pg8000.native.Connection, rng: Random, table: str) -> int:
    """Return the id of some row that is there, also where ids have gaps."""
    key, source = identifier(f"{table}_id"), identifier(table)
    [[newest]] = connection.run(f"SELECT max({key}) FROM {source}")  # nosec B608
    [[found]] = connection.run(
        f"SELECT min({key}) FROM {source} WHERE {key} >= :wanted",  # nosec B608
        wanted=rng.randint(1, newest),
    )
    return int(found)


def _next_id(connection: pg8000.native.Connection, table: str) -> int:
    [[number]] = connection.run(
        "SELECT nextval(pg_get_serial_sequence(:table, :key))", table=table, key=f"{table}_id"
    )
    return int(number)


def _insert(connection: pg8000.native.Connection, table: str, row: Row) -> None:
    """Insert a row that has all columns of its table, in their order."""
    values = {f"v{i}": value for i, value in enumerate(row)}
    places = ", ".join(f":{name}" for name in values)
    connection.run(f"INSERT INTO {identifier(table)} VALUES ({places})", **values)  # nosec B608


def _stamp(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="milliseconds")
