"""The pages of the documentation, and the commands, outputs and examples that are on them.

Each fenced block has a comment before it, which a reader of the page does not see, with what keeps
it true:

    <!-- run by tests/unit/test_x.py::test_y -->    a test, or several with a comma between them
    <!-- made by make demo -->                      a command that printed it
    <!-- drawn by hand -->                          a diagram
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
)
_BLOCK = re.compile(r"(?:^<!-- ([^\n]*) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and what keeps it true: the text of the comment before it."""

    page: Path
    line: int
    language: str
    text: str
    kept: str

    @property
    def name(self) -> str:
        """Where it is."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def tests(self) -> list[str]:
        """The tests that run it, as pytest names them."""
        kind, _, names = self.kept.partition(" by ")
        return names.split(", ") if kind == "run" else []


def blocks() -> Iterator[Block]:
    """Yield the blocks of all pages."""
    for page in PAGES:
        text = page.read_text()
        for found in _BLOCK.finditer(text):
            line = text.count("\n", 0, found.start(2)) + 1
            yield Block(page, line, found[2], found[3], found[1] or "")


def run_by(test: str) -> list[Block]:
    """Return the blocks that a test runs, by the test's own name."""
    return [block for block in blocks() if any(each.endswith(f"::{test}") for each in block.tests)]


def commands(text: str) -> Iterator[str]:
    """Yield the lines of a console that a person types, without comments."""
    for line in text.splitlines():
        if line.startswith("$ "):
            yield line[2:].partition("  #")[0].strip()


def table(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    below = page.read_text().partition(f"\n{heading}\n")[2]
    rows = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert rows is not None, f"{page.name} has no table below {heading}"
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        for row in rows[0].splitlines()[2:]
    ]
