"""A table for each form of file, and one with a column of each type."""

from etl import (
    Boolean,
    Csv,
    Date,
    Double,
    Feed,
    Files,
    Integer,
    Json,
    JsonDocuments,
    Numeric,
    Pipeline,
    PostgresWarehouse,
    Table,
    Text,
    Time,
    Timestamp,
    Uuid,
    latest,
    replace,
)

NOTES = {"id": Text(), "note": Text(nullable=True)}

texts = Table("texts", key="id", columns=NOTES)
western = Table("western", key="id", columns=NOTES)
quoted = Table("quoted", key="id", columns=NOTES)
headless = Table("headless", key="id", columns=NOTES)
named = Table("named", key="id", columns=NOTES)
strict = Table("strict", key="id", columns=NOTES)
lines = Table("lines", key=(), columns={"line": Text()})
typed = Table(
    "typed",
    key="id",
    columns={
        "id": Text(),
        "whole": Integer(nullable=True),
        "amount": Numeric(12, 2, nullable=True),
        "long": Numeric(40, 0, nullable=True),
        "free": Numeric(nullable=True),
        "ratio": Double(nullable=True),
        "day": Date(nullable=True),
        "clock": Time(nullable=True),
        "moment": Timestamp(nullable=True, timezone=True),
        "flag": Boolean(nullable=True),
        "mark": Uuid(nullable=True),
        "more": Json(nullable=True, binary=True),
    },
)
documents = Table(
    "documents",
    key="id",
    columns={
        "id": Text(),
        "whole": Integer(nullable=True),
        "amount": Numeric(12, 2, nullable=True),
        "note": Text(nullable=True),
        "more": Json(nullable=True),
    },
)

ANY = 1.0  # of the rows may be refused

PIPELINE = Pipeline(
    sources=[
        Files(
            "source",
            (
                Feed(texts, "texts/**", max_rejects=ANY),
                Feed(western, "western/**", Csv(encoding="cp1252"), max_rejects=ANY),
                Feed(quoted, "quoted/**", Csv(";", quote="'", nulls=("NULL",)), max_rejects=ANY),
                Feed(headless, "headless/**", Csv(header=False), max_rejects=ANY),
                Feed(named, "**named/**", max_rejects=ANY),
                Feed(strict, "strict/**"),
                Feed(lines, "lines/**", max_rejects=ANY),
                Feed(typed, "typed/**", max_rejects=ANY),
                Feed(documents, "documents/**", JsonDocuments(), max_rejects=ANY),
            ),
        )
    ],
    targets=[
        PostgresWarehouse(
            "warehouse",
            (
                *map(latest, (texts, western, quoted, headless, named, strict, typed, documents)),
                replace(lines),
            ),
        )
    ],
)
