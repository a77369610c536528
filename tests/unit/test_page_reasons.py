"""Reasons on the page: what is wrong with rows, in declared words, without their values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import etl
import etl.testing
from etl import (
    Boolean,
    Calendar,
    Integer,
    IsoDate,
    Numeric,
    Pipeline,
    Postgres,
    PostgresWarehouse,
    Table,
    Text,
    Timestamp,
    fact,
)
from functions.page.reasons import OTHER, Reasons

SECRET = "s3cret"
club = Table("club", key="club_id", columns={"club_id": Integer(), "name": Text()})
player = Table("player", key="player_id", columns={
    "player_id": Integer(), "code": Text(check=str.isupper, reason="is not in capitals"),
    "born": IsoDate(), "fee": Numeric(6, 2), "exact": Numeric(), "joined": Timestamp(),
    "goals": Integer(), "active": Boolean(), "club_id": Integer(references=club),
    "mentor_id": Integer(nullable=True, references=etl.SELF),
})  # fmt: skip


@fact(key="player_id")
def fact_player(player: Any, club: Any) -> Any:
    return player.merge(club, on="club_id")[["player_id", "born", "name"]]


PIPELINE = Pipeline(
    sources=[Postgres("source", (club, player))],
    targets=[PostgresWarehouse("warehouse", (fact_player,), calendar=Calendar("days"))],
)
REASONS = Reasons(player, (club, player), PIPELINE.mappings("source"))
CLUB = {"club_id": 7, "name": "Rovers"}
FIT = {
    "player_id": 1,
    "code": "ANN",
    "born": "2001-02-03",
    "fee": "1.00",
    "exact": "1",
    "joined": "2024-01-02 03:04:05",
    "goals": 3,
    "active": True,
    "club_id": 7,
    "mentor_id": None,
}


def refused(clubs: list[Any] | None = None, **wrong: Any) -> str:
    """Return why the engine refuses a row."""
    made = etl.testing.made(
        PIPELINE, "fact_player", player=[FIT | wrong], club=[CLUB] if clubs is None else clubs
    )
    return made.refused[1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"code": SECRET}, "code is not in capitals"),
        ({"born": SECRET}, "born is not a date"),
        ({"born": "0901-01-01"}, "born is outside the calendar"),
        ({"fee": "123456.78"}, "fee does not fit its type"),
        ({"exact": "NaN"}, "exact is not a number"),
        ({"code": None}, "has no code"),
        ({"club_id": 8}, "club is missing"),
        ({"code": SECRET, "born": SECRET}, "code is not in capitals"),
    ],
)
def test_a_reason_of_the_engine_loses_its_values(wrong: dict[str, Any], said: str) -> None:
    """What transform says of a row is recognised, and its values are left out."""
    reason = refused(**wrong)

    assert REASONS.without_values(reason) == said
    assert SECRET not in said


def test_a_reason_of_what_joins_in_loses_its_values() -> None:
    """A row that joins in and cannot be used is named by its table alone."""
    reason = refused([{"club_id": 7, "name": None}])

    assert reason == "club 7 has no name"
    assert REASONS.without_values(reason) == "club cannot be used itself"


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("waits for club 12345", "waits for club"),
        ("goals s3cret is not a whole number", "goals is not a whole number"),
        ("active s3cret is neither true nor false; has no fee", "active is neither true nor false"),
        ("joined s3cret is out of range", "joined is out of range"),
        ("code is larger than 1,048,576 bytes", "code is too large"),
        ("code s3cret is not valid UTF-8", "code is not valid UTF-8"),
        ("s3cret", OTHER),
        ("code s3cret", "code is not valid"),
        ("", OTHER),
    ],
)
def test_other_reasons_are_put_together_from_declared_words(reason: str, said: str) -> None:
    """What is not recognised is said in general, and never quoted."""
    assert REASONS.without_values(reason) == said


@given(st.text(), st.sampled_from(["code '{}' is odd", "club {} is missing", "waits for {}", "{}"]))
def test_no_value_is_ever_quoted(value: str, form: str) -> None:
    """Whatever a value is, what is shown is one of the few things that can be said."""
    said = REASONS.without_values(form.format(value))
    words = ("has no", "is not", "is missing", "waits for", "cannot be used", "is out", "is too")

    assert said == OTHER or any(word in said for word in (*words, "does not fit", "is neither"))
    assert said.split()[0] in {*player.columns, "club", "player", "has", "waits", "another"}
