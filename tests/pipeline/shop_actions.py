"""Actions of a random shop: weighted tables of single changes to the source.

Everything that is hard on a pipeline is in here: updates without a trace, back-dated and equal
stamps, deletes and ids that come back, text made to break out, and rows that no warehouse can hold.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from random import Random
from threading import Lock

import pg8000.native

from tests.pipeline.shop_values import (
    DAY_COLUMNS,
    DAYS,
    EQUAL_STAMPS,
    FACTS,
    HOSTILE_TEXT,
    IMPOSSIBLE_DAYS,
    IMPOSSIBLE_STAMPS,
    MONEY,
    NULLABLE,
    PARENT_COLUMNS,
    PARENT_REPAIRS,
    REPAIRS,
    TEXT_COLUMNS,
    UNUSED,
)

Order = tuple[str, int, int, int]  # its table, and its id, its transaction's and its payment's


@dataclass
class Shelf:
    """State that all writers share: about how high ids are, and the last deleted orders."""

    highest: dict[str, int] = field(default_factory=dict)
    deleted: list[Order] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def note(self, table: str, number: int) -> None:
        with self.lock:
            self.highest[table] = max(self.highest.get(table, 0), number)

    def throw_away(self, order: Order) -> None:
        with self.lock:
            self.deleted.append(order)
            del self.deleted[:-50]

    def clear(self) -> None:
        with self.lock:
            self.highest.clear()
            self.deleted.clear()

    def take_out(self, random: Random) -> Order | None:
        with self.lock:
            return self.deleted.pop(random.randrange(len(self.deleted))) if self.deleted else None


@dataclass
class Hand:
    """One writer at work: its connection, its random numbers, and what all writers share.

    Each statement is run within a `passage`.
    """

    connection: pg8000.native.Connection
    random: Random
    shelf: Shelf
    passage: Callable[[], AbstractContextManager[None]] = nullcontext

    def run(self, sql: str, **values: object) -> list[list[int]]:
        with self.passage():
            return list(self.connection.run(sql, **values) or [])

    def insert(self, table: str, **columns: object) -> int:
        """Insert a row, with its key or the next one, and return the key."""
        names, values = ", ".join(columns), ", ".join(f":{name}" for name in columns)
        [[key]] = self.run(
            f"INSERT INTO {table} ({names}) VALUES ({values}) RETURNING {table}_id", **columns
        )
        self.shelf.note(table, key)
        return key

    def one_of(self, table: str) -> str:
        """Return the SQL condition for one row; every third time one that others want as well."""
        hot = self.random.random() < 0.3
        first = self.random.randint(1, 8 if hot else self.shelf.highest.get(table, 20))
        key = f"{table}_id"
        return f"{key} = (SELECT {key} FROM {table} WHERE {key} >= {first} ORDER BY 1 LIMIT 1)"

    def set(self, table: str, column: str, value: object) -> None:
        """Update a column of one row, and leave its stamps alone."""
        self.run(f"UPDATE {table} SET {column} = :value WHERE {self.one_of(table)}", value=value)

    def text(self) -> str:
        return self.random.choice(HOSTILE_TEXT)

    def money(self) -> str:
        return f"{self.random.randrange(10**10) / 100:.2f}"

    def stamps(self) -> dict[str, str]:
        """Return the stamps of a new row: back-dated, equal to others', or now."""
        now = f"2026-01-0{self.random.randint(1, 9)} 09:00:00.{self.random.randrange(1000):03}"
        stamp = self.random.choice([*EQUAL_STAMPS, now, now, now])
        return {"created_at": stamp, "last_updated": stamp}


Action = Callable[[Hand], None]


def place_order(hand: Hand, table: str = "", ids: tuple[int, ...] = ()) -> None:
    """Insert an order, its transaction and its payment; `ids` are those of one that was deleted."""
    table = table or hand.random.choice(["sales_order", "purchase_order"])
    sells = table == "sales_order"
    order_id, transaction_id, payment_id = (
        ({f"{of}_id": key} for of, key in zip((table, "transaction", "payment"), ids, strict=True))
        if ids
        else ({}, {}, {})
    )
    random, stamps, day = hand.random, hand.stamps(), hand.random.choice(DAYS)
    party, currency, money = random.randint(1, 20), random.randint(1, 3), hand.money()
    of_its_kind: dict[str, object] = (
        {"design_id": random.randint(1, 5), "units_sold": random.randint(1, 9), "unit_price": money}
        if sells
        else {"item_code": hand.text(), "item_quantity": 7, "item_unit_price": money}
    )
    order = hand.insert(
        table,
        **order_id,
        **stamps,
        **of_its_kind,
        staff_id=random.randint(1, 20),
        counterparty_id=party,
        currency_id=currency,
        agreed_delivery_date=day,
        agreed_payment_date=day,
        agreed_delivery_location_id=random.randint(1, 30),
    )
    kind: dict[str, object] = {
        "transaction_type": "SALE" if sells else "PURCHASE",
        table + "_id": order,
    }
    transaction = hand.insert("transaction", **transaction_id, **stamps, **kind)
    hand.insert(
        "payment",
        **payment_id,
        **stamps,
        transaction_id=transaction,
        counterparty_id=party,
        payment_amount=money,
        currency_id=currency,
        payment_type_id=1 if sells else 3,
        paid=False,
        payment_date=day,
        company_ac_number=1,
        counterparty_ac_number=2,
    )


def bring_back_order(hand: Hand) -> None:
    """Insert an order again under the ids that it had."""
    if (order := hand.shelf.take_out(hand.random)) is not None:
        place_order(hand, order[0], order[1:])


def delete_order(hand: Hand) -> None:
    """Delete an order with its payment and its transaction."""
    table = hand.random.choice(["sales_order", "purchase_order"])
    for transaction, payment, order in hand.run(
        f"SELECT transaction_id, payment_id, {table}_id FROM transaction JOIN payment"
        f" USING (transaction_id) WHERE {table}_id = (SELECT o.{table}_id FROM {table} AS o"
        f" WHERE {hand.one_of(table)})"
    ):
        hand.run("DELETE FROM payment WHERE payment_id = :id", id=payment)
        hand.run("DELETE FROM transaction WHERE transaction_id = :id", id=transaction)
        hand.run(f"DELETE FROM {table} WHERE {table}_id = :id", id=order)
        hand.shelf.throw_away((table, order, transaction, payment))


def delete_order_only(hand: Hand) -> None:
    """Delete an order; its transaction forgets it, and the payment stays."""
    hand.run(f"DELETE FROM sales_order WHERE {hand.one_of('sales_order')}")


def delete_payment(hand: Hand) -> None:
    """Delete a payment, and not what it was for."""
    hand.run(f"DELETE FROM payment WHERE {hand.one_of('payment')}")


def update_without_trace(hand: Hand) -> None:
    """Point a row at another parent."""
    table, column, parents = hand.random.choice(PARENT_COLUMNS)
    hand.set(table, column, hand.random.randint(1, parents))


def update_with_trace(hand: Hand) -> None:
    """Change a payment as the shop does, `last_updated` and all."""
    hand.run(
        "UPDATE payment SET paid = NOT paid, last_updated = localtimestamp"
        f" WHERE {hand.one_of('payment')}"
    )


def update_many(hand: Hand) -> None:
    """Change some neighbouring orders with one statement."""
    first = hand.random.randint(1, hand.shelf.highest.get("sales_order", 20))
    hand.run(
        "UPDATE sales_order SET units_sold = units_sold + 1"
        f" WHERE sales_order_id BETWEEN {first} AND {first + 15}"
    )


def touch_nothing(hand: Hand) -> None:
    """Write a new version of a row that says what the old one said."""
    hand.run(
        f"UPDATE purchase_order SET item_code = item_code WHERE {hand.one_of('purchase_order')}"
    )


def change_money(hand: Hand) -> None:
    """Change what an order or a payment is about."""
    table = hand.random.choice(FACTS)
    hand.set(table, MONEY[table], hand.money())


def change_day(hand: Hand) -> None:
    """Agree on another day."""
    table, column = hand.random.choice(DAY_COLUMNS)
    hand.set(table, column, hand.random.choice(DAYS))


def back_date(hand: Hand) -> None:
    """Give a row the stamps of long ago, or of the future."""
    table = hand.random.choice(FACTS)
    stamp = hand.random.choice(EQUAL_STAMPS)
    hand.run(
        f"UPDATE {table} SET created_at = :at, last_updated = :at WHERE {hand.one_of(table)}",
        at=stamp,
    )


def write_hostile_text(hand: Hand) -> None:
    """Put text that is hard to carry into a row."""
    table, column = hand.random.choice(TEXT_COLUMNS)
    hand.set(table, column, hand.text())


def write_null_or_text(hand: Hand) -> None:
    """Switch between NULL, the empty string and text."""
    table, column = hand.random.choice(NULLABLE)
    hand.set(table, column, hand.random.choice([None, "", hand.text()]))


def add_design(hand: Hand) -> None:
    """Insert a design."""
    text = {name: hand.text() for name in ("design_name", "file_location", "file_name")}
    hand.insert("design", **hand.stamps(), **text)


def add_staff(hand: Hand) -> None:
    """Insert a member of staff."""
    text = {name: hand.text() for name in ("first_name", "last_name", "email_address")}
    hand.insert("staff", department_id=hand.random.randint(1, 8), **hand.stamps(), **text)


def delete_unused(hand: Hand) -> None:
    """Delete a parent that nothing refers to."""
    table = hand.random.choice([*UNUSED])
    hand.run(f"DELETE FROM {table} WHERE {hand.one_of(table)} AND {UNUSED[table]}")


def damage_day(hand: Hand) -> None:
    """Write a date that is none."""
    table, column = hand.random.choice(DAY_COLUMNS)
    hand.set(table, column, hand.random.choice(IMPOSSIBLE_DAYS))


def damage_money(hand: Hand) -> None:
    """Write an amount that is no number."""
    table = hand.random.choice(FACTS)
    hand.set(table, MONEY[table], "NaN")


def damage_stamp(hand: Hand) -> None:
    """Write a moment that no calendar has."""
    column = hand.random.choice(["created_at", "last_updated"])
    hand.set(hand.random.choice(FACTS), column, hand.random.choice(IMPOSSIBLE_STAMPS))


def damage_parent(hand: Hand) -> None:
    """Make a parent unfit, so that its facts have to wait."""
    if hand.random.random() < 0.3:
        hand.run("UPDATE currency SET currency_code = 'ZZZ' WHERE currency_id = 3")
    else:
        hand.set("department", "location", None)


def repair_something(hand: Hand) -> None:
    """Repair all rows of one kind, mostly parents, for which many rows wait."""
    hand.run(hand.random.choice([*REPAIRS, *PARENT_REPAIRS * 6]))


ACTIONS: list[tuple[int, Action]] = [
    (16, place_order),
    (9, delete_order),
    (5, bring_back_order),
    (1, delete_order_only),
    (2, delete_payment),
    (16, update_without_trace),
    (6, update_with_trace),
    (2, update_many),
    (2, touch_nothing),
    (10, change_money),
    (5, change_day),
    (5, back_date),
    (7, write_hostile_text),
    (3, write_null_or_text),
    (2, add_design),
    (1, add_staff),
    (1, delete_unused),
    (1, damage_day),
    (1, damage_money),
    (1, damage_stamp),
    (1, damage_parent),
    (3, repair_something),
]


def random_action(random: Random) -> Action:
    """Draw an action by its weight."""
    weights, actions = zip(*ACTIONS, strict=True)
    chosen: Action = random.choices(actions, weights)[0]
    return chosen
