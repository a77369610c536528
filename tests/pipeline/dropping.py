"""Somebody who drops files into a bucket at random, and what a warehouse should then hold.

The expectation is made of the versions that the bucket has, by the standard library alone.
"""

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

Row = tuple[str | None, ...]
KINDS = ("visits", "prices", "stock")
MAX_REJECTS = {"visits": 0.3, "prices": 0.3, "stock": 1.0}
NOTES = ["", "plain", 'an "inch"', "two\nlines", "comma, semicolon;", "ümlaut €", " blanks ", "\\N"]
FILES = 4  # of a kind, each overwritten now and then


class Dropper:
    """Drops files of the pipeline `dropped` into a bucket: new ones, others over old ones."""

    def __init__(self, s3: Any, bucket: str, random: Random) -> None:
        self._s3, self._bucket, self._random = s3, bucket, random

    def drop(self) -> str:
        """Drop one file; return its key."""
        random = self._random
        kind, number = random.choice(KINDS), random.randrange(FILES)
        share = random.choice([0, 0, 0, 0.05, 0.05, 0.8])
        body = {"visits": _visits, "prices": _prices, "stock": _stock}[kind](random, number, share)
        key = {
            "visits": f"visits/day {number}+ü.csv",
            "prices": f"prices/{number}.json",
            "stock": "stock.csv",
        }[kind]
        if random.random() < 0.2:
            body = gzip.compress(body)
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)
        return key


def _visits(random: Random, number: int, wrong: float) -> bytes:
    columns = ["visit_id", "day", "amount", "note", "clerk"]
    random.shuffle(columns)
    text = io.StringIO(newline="")
    ending = random.choice(["\n", "\r\n"])
    writer = csv.writer(text, lineterminator=ending)
    writer.writerow(columns)
    for _ in range(random.choice([0, 1, 10, 60])):
        row = {
            "visit_id": str(1000 * number + random.randrange(40)),
            "day": random.choice(["", f"2026-{random.randint(1, 12):02d}-07"]),
            "amount": f"{random.randrange(10**6) / 100:.2f}",
            "note": random.choice(NOTES),
            "clerk": "x",
        }
        cells = [row[name] for name in columns]
        if random.random() < wrong:
            cells = random.choice(
                [
                    [*cells, "more"],
                    cells[:-1],
                    [],
                    [{**row, "amount": "ten"}[name] for name in columns],
                    [{**row, "visit_id": "", "day": "2026-02-30"}[name] for name in columns],
                ]
            )
        writer.writerow(cells)
    encoded = text.getvalue().encode()
    return random.choice([b"", b"\xef\xbb\xbf"]) + encoded


def _prices(random: Random, number: int, wrong: float) -> bytes:
    documents = []
    for _ in range(random.choice([0, 1, 10, 40])):
        price: Any = random.choice([f"{random.randrange(10**5) / 100:.2f}", random.randrange(99)])
        document = {"shop": number, "sku": f"s,{random.randrange(9)}", "price": price, "x": [1]}
        if random.random() < wrong:
            document |= random.choice([{"price": None}, {"sku": 5}, {"price": "1.234"}])
        documents.append(json.dumps(document))
    if random.random() < 0.5:
        return ("[" + ",\n".join(documents) + "]").encode()
    return "".join(f"{document}\n" for document in documents).encode()


def _stock(random: Random, number: int, wrong: float) -> bytes:
    lines = ["pieces,sku"]
    for _ in range(random.choice([0, 3, 80])):
        pieces = "many" if random.random() < wrong else random.choice(["", "1", "2"])
        lines.append(f"{pieces},{random.choice('abc')}")
    return ("\n".join(lines) + "\n").encode()


@dataclass
class Expected:
    """The rows that tables should hold, and the wrong ones in the newest version of each file.

    `prices` are the states of each key, one after the other; `wrong` are line numbers by key.
    """

    visits: dict[str, Row] = field(default_factory=dict)
    prices: dict[Row, list[Row]] = field(default_factory=dict)
    stock: Counter[Row] = field(default_factory=Counter)
    wrong: dict[str, list[int]] = field(default_factory=dict)


def expected(s3: Any, bucket: str) -> Expected:
    """Return what all versions of all files in a bucket come to, each file's in their order."""
    found = Expected()
    for key, bodies in versions(s3, bucket).items():
        kind = key.split("/")[0].removesuffix(".csv")
        for body in bodies:
            good, wrong = _READ[kind](body)
            if len(wrong) > MAX_REJECTS[kind] * (len(good) + len(wrong)):
                found.wrong[key] = wrong
                continue
            found.wrong[key] = wrong
            _add(found, kind, good)
    return found


def _add(found: Expected, kind: str, good: list[Row]) -> None:
    if kind == "stock":
        found.stock = Counter(good)
    elif kind == "visits":
        found.visits |= {str(row[0]): row for row in good}
    else:
        for row in good:
            states = found.prices.setdefault(row[:2], [])
            if states[-1:] != [row]:
                states.append(row)


def versions(s3: Any, bucket: str) -> Mapping[str, list[bytes]]:
    """Return what all versions of each file of a bucket have, unpacked, in their order."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    found: dict[str, list[bytes]] = {}
    for page in pages:
        for each in page.get("Versions", []):
            body = s3.get_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])[
                "Body"
            ].read()
            unpacked = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
            found.setdefault(each["Key"], []).insert(0, unpacked)
    return found


def _records(body: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a file and the line on which each begins."""
    reader = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""))
    before = 0
    for record in reader:
        yield before + 1, record
        before = reader.line_num


def _separated(body: bytes) -> tuple[list[tuple[int, dict[str, str]]], list[int]]:
    [(_, header), *records] = _records(body)
    good = [
        (n, dict(zip(header, row, strict=True))) for n, row in records if len(row) == len(header)
    ]
    return good, [n for n, row in records if len(row) != len(header)]


def _read_visits(body: bytes) -> tuple[list[Row], list[int]]:
    separated, wrong = _separated(body)
    good: list[Row] = []
    for line, row in separated:
        if row["amount"] == "ten" or not row["visit_id"]:
            wrong.append(line)
        else:
            good.append((row["visit_id"], row["day"] or None, row["amount"], row["note"] or None))
    return good, sorted(wrong)


def _read_prices(body: bytes) -> tuple[list[Row], list[int]]:
    text = body.decode()
    documents = json.loads(text) if text.startswith("[") else map(json.loads, text.splitlines())
    good: list[Row] = []
    wrong: list[int] = []
    for line, document in enumerate(documents, 1):
        price = document["price"]
        if price in (None, "1.234") or document["sku"] == 5:
            wrong.append(line)
        else:
            good.append((str(document["shop"]), document["sku"], f"{Decimal(price):.2f}"))
    return good, wrong


def _read_stock(body: bytes) -> tuple[list[Row], list[int]]:
    separated, wrong = _separated(body)
    good: list[Row] = [
        (row["sku"], row["pieces"] or None) for _, row in separated if row["pieces"] != "many"
    ]
    return good, sorted(wrong + [line for line, row in separated if row["pieces"] == "many"])


_READ: dict[str, Callable[[bytes], tuple[list[Row], list[int]]]] = {
    "visits": _read_visits,
    "prices": _read_prices,
    "stock": _read_stock,
}


def by_day(visits: Mapping[str, Row]) -> dict[date, tuple[int, Decimal]]:
    """Return number and amount of visits by day, those without one under 1900-01-01."""
    totals: dict[date, tuple[int, Decimal]] = {}
    for _, day, amount, _ in visits.values():
        when = date.fromisoformat(day or "1900-01-01")
        number, total = totals.get(when, (0, Decimal(0)))
        totals[when] = number + 1, total + Decimal(str(amount))
    return totals
