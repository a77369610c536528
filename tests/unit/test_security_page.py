"""SECURITY.md names a test for each of its promises; `test_documentation` looks for them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
PROMISES = [line for line in PAGE.splitlines() if re.match(r"\| (?!promise )", line)]


@pytest.mark.parametrize("promise", PROMISES)
def test_no_promise_is_without_a_test_or_a_check(promise: str) -> None:
    """A promise that nothing keeps is none."""
    assert re.search(r"`(tests/|make check)", promise)
