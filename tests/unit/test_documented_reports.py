"""What the commands print has the layout that the tutorial shows."""

import ast
import io
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from deployer.operations.output import compared
from local.new_pipeline.command import Written, shown
from local.target_tables import MEANING, TargetRow, ViewRow, show_tables, show_views
from tests.documentation import ROOT, blocks, run_by

COMMANDS = (ROOT / "deploy.py", ROOT / "teardown.py")


def rows_of(text: str, head: str) -> list[list[str]]:
    """Return the cells of a printed table, by its first two columns."""
    [_, below] = re.split(rf"^{head}.*\n", text, flags=re.MULTILINE)
    rows = re.match(r"(?:\w.*\S {2,}\S.*\n)+", below)
    assert rows is not None
    return [re.split(r"\s{2,}", row.strip()) for row in rows[0].splitlines()]


def printed(*shown: RenderableType) -> list[str]:
    """Return the lines that a terminal prints."""
    console = Console(width=100, file=io.StringIO(), highlight=False)
    for each in shown:
        console.print(each)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def new_pipeline(text: str) -> list[str]:
    ways = {row[0]: row[1] for row in rows_of(text, "table +kept as")}
    return printed(*shown(Written("…/pipelines/music/pipeline.py", ways, {}), "env"))


def first_cycle(text: str) -> list[str]:
    tables = [
        TargetRow(name, int(rows), int(batch), datetime.fromisoformat(at), float(seconds))
        for name, rows, at, batch, seconds in rows_of(text, "table +rows")
    ]
    views = [
        ViewRow(name, int(rows), int(gone)) for name, rows, gone in rows_of(text, "view +rows")
    ]
    return printed(show_tables(tables), MEANING, "", show_views(views))


def reconciled(text: str) -> list[str]:
    counts = ("source", "warehouse", "missing", "different", "extra", "pending")
    tables = {
        name: dict(zip(counts, map(int, numbers), strict=True))
        for name, *numbers in rows_of(text, "target table")
    }
    return printed(compared(tables))


REPORTS: dict[str, Callable[[str], list[str]]] = {
    "kept as": new_pipeline,
    "newest change": first_cycle,
    "target table": reconciled,
}


@pytest.mark.parametrize("head", REPORTS)
def test_a_report_is_printed_as_on_the_page(head: str) -> None:
    """The tables of the tutorial have the columns, the words and the layout of today."""
    blocks = run_by("test_a_report_is_printed_as_on_the_page")
    [block] = [each for each in blocks if head in each.text]

    assert "\n".join(REPORTS[head](block.text)).strip() in block.text


def texts_of(path: Path) -> Iterator[str]:
    """Yield the texts of a module as patterns: what is put into one may be anything."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.escape(node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = [
                re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+"
                for part in node.values
            ]
            if re.match(r"\w{3}", parts[0]):  # else it may be any text
                yield "".join(parts)


def test_steps_on_the_pages_are_those_of_today() -> None:
    """A reader who runs a command sees the steps that the page shows, in these words."""
    steps = {
        step
        for block in blocks()
        for step in re.findall(r"^(\w.*?) {2,}\d+\.\d s$", block.text, re.MULTILINE)
    }
    modules = [*(ROOT / "local").rglob("*.py"), *(ROOT / "deployer" / "operations").glob("*.py")]
    patterns = {text for path in (*modules, *COMMANDS) for text in texts_of(path)}

    assert len(steps) > 10
    assert {
        step for step in steps if not any(re.fullmatch(each, step) for each in patterns)
    } == set()
