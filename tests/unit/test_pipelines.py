"""The pipelines that ship are declared without a mistake."""

import pytest

import etl.testing
from etl.loading import known, load


@pytest.mark.parametrize("name", known())
def test_functions_make_what_is_declared(name: str) -> None:
    """A function that returns other columns is found before it is deployed, not at night."""
    etl.testing.check(load(name))
