"""What an older system wrote of a file of zip codes, and what it kept: csv.reader, row by row."""

import csv
import io
from collections.abc import Sequence
from decimal import Decimal
from random import Random

from tests.unit.test_zipster_rules import ORACLE

HEADER = "Zipcode,ZipCodeType,City,State,LocationType,Lat,Long,Location,Decommisioned"
WORDS = (
    "zipcode", "zipcode_type", "city", "state", "location_type", "latitude", "longitude",
    "location", "decommissioned",
)  # fmt: skip
Row = tuple[str, ...]


def expected(text: str) -> tuple[list[Row], str]:
    """Return the accepted rows with padded values, and the error object of a file."""
    accepted: list[Row] = []
    report = []
    for number, row in enumerate(csv.reader(io.StringIO(text, newline="")), 1):
        if number == 1:
            continue
        wrong = []
        if len(row) == len(ORACLE):
            for place, (rule, word) in enumerate(zip(ORACLE.values(), WORDS, strict=True)):
                if not rule(row[place]):
                    wrong.append(f"'{row[place]}' is an invalid {word}")
                elif place == 0:
                    row[place] = ("0000" + row[place])[-5:]
                elif place in (5, 6):
                    before, after = row[place].split(".")
                    row[place] = f"{before}.{(after + '00')[:2]}"
        elif row:
            values = "1 value" if len(row) == 1 else f"{len(row)} values"
            wrong = [f"Row skipped: it has {values}, and the header has 9"]
        else:
            wrong = ["Blank row skipped"]
        if wrong:
            report += [f"Row {number}  = {row}", *wrong]
        else:
            accepted.append(tuple(row))
    return accepted, "".join(f"{line}\n" for line in report)


def exact(row: Row) -> Row:
    """Return an accepted row as it is stored: 0 for -0, and no zeros before a number."""
    *before, y, x, location, decommissioned = row
    return (*before, f"{Decimal(y) + 0}", f"{Decimal(x) + 0}", location, decommissioned)


def file_of(random: Random, rows: int, codes: Sequence[int] = (1, 601, 602, 99_999)) -> str:
    """Return a file of zip codes, many of them wrong in all the ways that there are."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=random.choice(["\n", "\r\n", "\r"]))
    writer.writerow(HEADER.split(","))
    for _ in range(rows):
        code = str(random.choice(codes))
        row = [random.choice([code, code.zfill(5)]), *map(random.choice, GOOD)]
        for _ in range(random.choice([0, 0, 1, 2, 9])):
            row[random.randrange(9)] = random.choice(BAD)
        writer.writerow(random.choice([row] * 9 + [[], [""], row[:-1], [*row, "x"], [" "] * 9]))
    return text.getvalue()


GOOD = (
    ["STANDARD", "PO BOX", "UNIQUE"],
    ["ADJUNTAS", "ST MARY OF THE WOODS", " "],
    ["PR", "NY", "DC", "AP"],
    ["PRIMARY"],
    ["18.16", "40.", "-0.0", "090.00", "-89.9"],
    ["-66.72", "180.00", "0.1", "-179.99"],
    ["NA-US-PR-ADJUNTAS", "-"],
    ["TRUE", "FALSE"],
)
BAD = (
    "", " ", "x", "two\nlines", "PRIMARY\n", "123456", "18.165", "91.00", "-180.01", '"',
    "O'FALLON", "a,b", "1e1", "+1.5", "٣", "\\", "Adjuntas", "TRUE ", "\t", "é\x1b[31m", "=1+1",
    "[]", "\u202e",
)  # fmt: skip
