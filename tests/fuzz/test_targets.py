"""Whatever the input, a parser reads it or refuses it in words of its own."""

import os

import pytest

from tests.fuzz.targets import TARGETS

# All of them together add about two minutes to the tests; FUZZ_SECONDS=60 gives a minute to each.
SECONDS = float(os.environ.get("FUZZ_SECONDS") or 10)


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_holds_its_promise_for_any_input(name: str) -> None:
    """The property that the target's check states holds for every input that is made up."""
    assert TARGETS[name].run(SECONDS) > 0
