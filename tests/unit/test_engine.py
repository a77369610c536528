"""The engine is for any pipeline: what belongs to one of them is in its folder alone."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OF_A_PIPELINE = re.compile("sales_order|counterparty|totesys", re.IGNORECASE)
DEFAULT = 'DEFAULT_PIPELINE = "totesys"'


@pytest.mark.parametrize("folder", ["etl", "functions", "deployer", "local"])
def test_the_engine_names_no_table_of_a_pipeline(folder: str) -> None:
    """The engine holds nothing of the shop that was its first source."""
    files = [
        path
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    found = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in files
        for line in path.read_text().splitlines()
        if OF_A_PIPELINE.search(line) and line != DEFAULT
    ]

    assert files
    assert found == []
