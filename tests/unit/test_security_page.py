"""SECURITY.md names the tests that keep its promises: they are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", PAGE)))
PROMISES = [line for line in PAGE.splitlines() if re.match(r"\| (?!promise)\w", line)]


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_is_named_is_there(named: str) -> None:
    """The test of each promise is found by the name on the page."""
    path, _, function = named.partition("::")

    text = (ROOT / path).read_text()
    assert not function or re.search(rf"^def {function}\(", text, re.MULTILINE)


@pytest.mark.parametrize("promise", PROMISES)
def test_no_promise_is_without_a_test_or_a_check(promise: str) -> None:
    """A promise that nothing keeps is none."""
    assert re.search(r"`(tests/|make check)", promise)
