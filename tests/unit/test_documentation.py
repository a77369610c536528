"""The documentation can be followed: pages, links, paths, and the tests of what is on them."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from functions.common.manifests import Instance, Source
from functions.sources.postgres.changes import Since, next_seen
from functions.sources.postgres.history import Probe, Snapshot
from tests.documentation import PAGES, ROOT, Block, blocks, table

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
# The page of the benchmarks is written by the program that measures.
GUIDES = [page for page in PAGES if page.parent == ROOT / "docs" and page.name != "benchmarks.md"]
BLOCKS = {block.name: block for block in blocks()}
TESTS = sorted(
    {test for page in PAGES for test in re.findall(r"tests/\w[\w./]*::\w+", page.read_text())}
)
PARTS = "deployer|docs|etl|functions|local|pipelines|tests|benchmarks|requirements"
PATH = re.compile(rf"`((?:{PARTS}|\.github)/[\w./-]*\w/?|[\w-]+\.(?:md|py|toml))`")
# What a reader is to make, and what stands in a pipeline's or a function's own folder.
TO_BE_MADE = re.compile(
    r"pipelines/music/|tests/unit/test_music\.py|(reader|current|loader|comparer|pipeline)\.py"
)

# From README to a module, by links or paths in the text; then what the module has to hold.
WAYS = {
    "what the reason of a quarantined row says": (
        ["CONTRIBUTING.md", "functions/transform/checks.py"],
        "is not a date",
    ),
    "what transform may read and write in S3": (
        ["CONTRIBUTING.md", "deployer/resources/policies.py"],
        "def _transform(names",
    ),
    "how many rows of a batch went where": (
        ["CONTRIBUTING.md", "functions/transform/remodelling.py"],
        "def require_balance",
    ),
}


def named_in(page: Path) -> set[Path]:
    """Return what a page links to, and the paths in backticks on it."""
    text = page.read_text()
    links = re.findall(r"\]\(([^)#\s]+)", text)
    found = {(page.parent / link).resolve() for link in links if "://" not in link}
    return found | {(ROOT / path).resolve() for path in PATH.findall(text)}


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("way", WAYS)
def test_a_newcomer_finds_the_module_that_decides(way: str) -> None:
    """From README there are at most three steps to it, each of which the page before names."""
    steps, held = WAYS[way]
    at = ROOT / "README.md"
    for step in steps:
        assert (ROOT / step).resolve() in named_in(at), f"{at.name} does not lead to {step}"
        at = ROOT / step

    assert len(steps) <= 3
    assert held in at.read_text()


def test_readme_is_read_in_minutes() -> None:
    """It has at most 130 lines: everything else is on another page."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_a_page_says_first_who_needs_it(page: Path) -> None:
    """A reader knows from the first line whether the page is for them, and README leads to it."""
    title, _, opening, *_ = page.read_text().splitlines()

    assert title.startswith("# ")
    assert opening.startswith("For ")
    first = named_in(ROOT / "README.md")
    assert page in first.union(*(named_in(each) for each in first & set(PAGES)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    """No link of a page is dead, no anchor is gone, and no path in the text is from yesterday."""
    text = page.read_text()
    missing = {
        str(each.relative_to(ROOT))
        for each in named_in(page)
        if not each.exists() and not TO_BE_MADE.search(str(each))
    }
    links = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", text)
    lost = {
        f"{link}#{anchor}"
        for link, anchor in links
        if anchor not in anchors((page.parent / link).resolve() if link else page)
    }

    assert missing | lost == set()


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_nothing_is_shown_that_nothing_runs(block: Block) -> None:
    """A command, an output or an example names the test that runs it, or the command it is of."""
    kind, _, by = block.kept.partition(" by ")

    assert kind in {"run", "made", "drawn"}, f"{block.name} does not say what keeps it true"
    if kind == "run":
        assert block.tests
        assert all("::test_" in test for test in block.tests)
    if kind == "made":
        makes = re.match(r"make (\w+)", by)
        assert makes, f"{by} is not a target of make"
        assert re.search(rf"^{makes[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("test", TESTS)
def test_a_test_that_is_named_is_there(test: str) -> None:
    """Whoever looks for the test that a page names, of a promise or of a block, finds it."""
    path, _, function = test.partition("::")

    assert re.search(rf"^def {function}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_the_worked_example_is_what_extract_computes() -> None:
    """The horizons and the transactions in `seen` of the design's example follow from its story."""
    rows = table(ROOT / "docs" / "design.md", "## Why the horizon is exact")
    told = [(int(row[3]), row[4]) for row in rows if row[3]]
    computed, position = [], None
    # Of each batch: the oldest transaction that has not ended, the next id, and those it shows.
    for horizon, end, shown in ((101, 103, [100, 102]), (104, 104, [101, 103]), (104, 104, [])):
        instance = Instance(NOW, None, False)
        source = Source("1", 1, "shop", NOW, end=end, instances=[instance])
        snapshot = Snapshot(source, horizon, Probe(instance, None, end, None))
        recent = [xid for xid in shown if xid >= horizon]
        seen = next_seen(snapshot, position, recent)
        position = Since(
            horizon, frozenset(xid for low, high in seen for xid in range(low, high + 1))
        )
        computed.append((horizon, ", ".join(str(xid) for xid in sorted(position.seen))))

    assert computed == told
