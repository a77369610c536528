"""The tables of the shop that hardly change: addresses, counterparties, staff and the like.

Everything is invented, and as awkward as the real thing: NULLs, apostrophes, accents, commas,
leading zeros and a misspelt city. It does no I/O and reads no clock.
"""

from collections.abc import Iterator
from random import Random

from pipelines.totesys.sample.orders import ADDRESSES

Row = tuple[object, ...]

CURRENCY_CODES = ("GBP", "USD", "EUR")
PAYMENT_TYPES = ("SALES_RECEIPT", "SALES_REFUND", "PURCHASE_PAYMENT", "PURCHASE_REFUND")
DEPARTMENTS = {
    "Online Sales": "Sheffield",
    "Buying": "Sheffield",
    "Workshop": "Bradford",
    "Warehouse": "Bradfrod",
    "Accounts": "Sheffield",
    "Premises": "Halifax",
    "Press": "Halifax",
    "People": "Sheffield",
}
MATERIALS = (
    *("Linen", "Canvas", "Hemp", "Velvet", "Corduroy", "Raffia"),
    *("Denim", "Cork", "Felt", "Tweed", "Jute", "Muslin"),
)
FOLDERS = (
    "/srv/designs",
    "/srv/drafts",
    "/var/lib/totes",
    "/opt/art",
    "/home/studio",
    "/mnt/archive",
)
FIRST_NAMES = (
    *("Agnes", "Bruno", "Chiara", "Dafydd", "Elif", "Farah", "Gwen", "Henrik", "Inés", "Jakub"),
    *("Keiko", "Luca", "Maeve", "Noor", "Oisín", "Petra", "Quentin", "Rosa", "Sunniva", "Tariq"),
)
SURNAMES = (
    *("O'Neill", "D'Angelo", "N'Diaye", "Ashdown", "Birch", "Castellano", "Drummond", "Eriksen"),
    *(
        "Fairweather",
        "Gruber",
        "Hollis",
        "Iqbal",
        "Järvinen",
        "Kowalczyk",
        "Lightfoot",
        "Marchetti",
    ),
    *("Nowak", "Okafor", "Pemberton", "Quayle"),
)
COUNTRIES = (
    *("Côte d'Ivoire", "Lao People's Democratic Republic", "Democratic People's Republic of Korea"),
    *("Albania", "Bolivia", "Canada", "Denmark", "Estonia", "Fiji", "Ghana", "Hungary", "Iceland"),
    *("Jamaica", "Kenya", "Latvia", "Malta", "Nepal", "Oman", "Peru", "Qatar", "Rwanda", "Spain"),
    *("Tonga", "Uganda", "Vanuatu", "Wallis and Futuna", "Yemen", "Zambia", "Chile", "Cuba"),
)


def dimensions(rng: Random, stamp: str) -> Iterator[tuple[str, list[Row]]]:
    """Yield (table, rows), parents first, all made at `stamp`; columns as in source.sql."""
    yield "address", _addresses(rng, stamp)
    yield "counterparty", _counterparties(rng, stamp)
    yield "currency", [(i, code, stamp, stamp) for i, code in enumerate(CURRENCY_CODES, 1)]
    yield "department", _departments(rng, stamp)
    yield "payment_type", [(i, name, stamp, stamp) for i, name in enumerate(PAYMENT_TYPES, 1)]
    yield "staff", _staff(rng, stamp)


def design(rng: Random, design_id: int, stamp: str) -> Row:
    """Make a row of `design`."""
    material = rng.choice(MATERIALS)
    drawn = f"{rng.randint(2019, 2024)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    mark = "".join(rng.choices("abcdefghjkmnpqrstvwxyz23456789", k=4))
    file_name = f"{material.lower()}-{drawn}-{mark}.json"
    return (design_id, stamp, material, rng.choice(FOLDERS), file_name, stamp)


def _addresses(rng: Random, stamp: str) -> list[Row]:
    one_line = set(rng.sample(range(ADDRESSES), 20))
    no_district = set(rng.sample(range(ADDRESSES), 14))
    return [
        (
            i + 1,
            f"{rng.randint(1, 999)} {rng.choice(SURNAMES)} {rng.choice(('Row', 'Quay', 'Yard'))}",
            None if i in one_line else f"Unit {rng.randint(1, 99)}",
            None if i in no_district else rng.choice(("Northshire", "Eastmoor", "Westvale")),
            f"{rng.choice(('Upper', 'Lower', 'Old'))} {rng.choice(SURNAMES)}ton",
            # Every fifth has a leading zero for certain.
            f"{rng.randrange(10_000 if i % 5 == 0 else 100_000):05}",
            country,
            f"0{rng.randrange(1_000):03} {rng.randrange(1_000_000):06}",
            stamp,
            stamp,
        )
        for i, country in enumerate(rng.sample(COUNTRIES, ADDRESSES))
    ]


def _counterparties(rng: Random, stamp: str) -> list[Row]:
    forms = ("{0} and Sons", "{0}, {1} and {2}", "{0} Ltd", "{0} & {1} plc")
    return [
        (
            i,
            forms[i % len(forms)].format(name, *rng.sample(SURNAMES, 2)),
            rng.randint(1, ADDRESSES),
            _person(rng),
            _person(rng),
            stamp,
            stamp,
        )
        for i, name in enumerate(rng.sample(SURNAMES, len(SURNAMES)), 1)
    ]


def _departments(rng: Random, stamp: str) -> list[Row]:
    return [
        (i, name, location, _person(rng), stamp, stamp)
        for i, (name, location) in enumerate(DEPARTMENTS.items(), 1)
    ]


def _staff(rng: Random, stamp: str) -> list[Row]:
    names = zip(
        rng.sample(FIRST_NAMES, len(FIRST_NAMES)), rng.sample(SURNAMES, len(SURNAMES)), strict=True
    )
    return [
        (i, first, last, rng.randint(1, len(DEPARTMENTS)), _email(first, last), stamp, stamp)
        for i, (first, last) in enumerate(names, 1)
    ]


def _person(rng: Random) -> str:
    return f"{rng.choice(FIRST_NAMES)} {rng.choice(SURNAMES)}"


def _email(first: str, last: str) -> str:
    return f"{first}.{last}@totes.example".lower().replace("'", "")
