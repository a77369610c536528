"""The event that has extract read tables once more is checked before anything is read."""

import pytest

from functions.common.errors import RepairRefused
from functions.extract.repair import NO_REPAIR, Repair, asked_for

MALFORMED = [
    {"read": "design"},
    {"read": ["design"], "absent": {"design": ["7"]}},
    {"read": ["design"], "absent": {"design": [2**63]}},
    {"read": ["design"], "absent": {"design": list(range(100_001))}},
    {"read": ["design; DROP TABLE design"]},
    {"read": [], "absent": {"nothing": [1]}},
]


@pytest.mark.parametrize("event", MALFORMED)
def test_a_malformed_event_is_refused_with_an_example(event: dict[str, object]) -> None:
    """What is no table or key is refused, in words that quote no value."""
    with pytest.raises(RepairRefused, match=r"^the event ") as refusal:
        asked_for(event)

    assert "DROP" not in str(refusal.value)


def test_tables_whose_keys_are_looked_for_are_read_as_well() -> None:
    """An event names tables, and keys of some."""
    repair = asked_for({"read": ["staff"], "absent": {"design": [7]}, "source": "a person"})

    assert repair == Repair(read=["staff"], absent={"design": [7]})
    assert repair.tables == {"staff", "design"}


@pytest.mark.parametrize("event", [{}, {"detail-type": "Scheduled Event"}, None, [], "read", 7])
def test_any_other_event_asks_for_nothing(event: object) -> None:
    """A schedule's event, and whatever else wakes extract, reads what has changed."""
    assert asked_for(event) == NO_REPAIR
