"""Whatever the input, a parser reads it or refuses it in its own words."""

import pytest

from tests.fuzz.targets import TARGETS

# Twenty seconds of a core for all of them; `make soak` goes on for as long as there is time.
ROUNDS = 5


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_holds_its_promise_for_any_input(name: str) -> None:
    """The property that the target's check states holds for every input that is made up."""
    for _ in range(ROUNDS):
        TARGETS[name].round()
