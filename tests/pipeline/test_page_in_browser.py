"""The page in a real browser: nothing refused, everything drawn, named, and reached by keyboard.

The browser is the one that is installed, or Debian's, which is fetched once into `.build`. Where
there is none to be had, these tests are not run, with the reason; in CI they have to run.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from etl import Figure
from functions.page.batches import Aside, Batch, Change, SourceState
from functions.page.document import document
from functions.page.figures import drawn, failed
from functions.page.sections import TableState, batches, freshness, put_aside, tables
from functions.targets.reading import Count, Rows
from tests.browser import NoBrowserError, Tab, program, tab
from tests.unit.test_page_hostile import BREAKING_OUT

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
WEEKS = [(NOW - timedelta(weeks=week)).date().isoformat() for week in range(20, 0, -1)]
LIGHT = "rgb(251, 251, 250)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Tab]:
    """One tab for all tests of the module."""
    try:
        found = program()
    except NoBrowserError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no browser: {error}")
    with tab(found) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every kind of figure, and with texts made to break out wherever they can be."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_bytes(document("shop", "dev", NOW, parts()))
    return path


def parts() -> list[tuple[str, list[Any]]]:
    """Return what stands on a page of a busy pipeline with hostile names."""
    marker: Any = SimpleNamespace(
        batch=20, source=SimpleNamespace(snapshot_at=NOW), written_at=NOW, age_seconds=21.3
    )
    shown = [
        Batch(number, NOW + number * timedelta(minutes=2), 9 * number, number, 7, 0.4, 1.2, number)
        for number in range(1, 21)
    ]
    change = Change(20, NOW)
    aside = [Aside(text, text, number) for number, text in enumerate(BREAKING_OUT)]
    states = [SourceState("source", shown, marker, 0, {"fact": change}, aside, {"gone": "gone"})]
    lines = Rows(
        ("week", "currency", "amount"),
        [(week, text, week[-2:]) for week in WEEKS for text in BREAKING_OUT[:4]],
        False,
    )
    bars = Rows(("name", "units"), [(text, len(text)) for text in BREAKING_OUT], False)
    figures = [
        drawn(Figure("Sales by week", "-", "lines", "GBP", series="currency"), lines),
        drawn(Figure("Sales by name", "-", "bars", "units"), bars),
        drawn(Figure("Payments", "-", "number"), Rows(("overdue", "due"), [(3, "1.50")], False)),
        drawn(Figure("Names", "-"), Rows(("name",), [(text,) for text in BREAKING_OUT], False)),
        failed(Figure("Slow", "-"), BREAKING_OUT[0]),
    ]
    counts = [TableState(text, Count(10**9, is_exact=False), change) for text in BREAKING_OUT]
    return [
        ("State", [freshness(states, {"x": BREAKING_OUT[0]}), put_aside(states)]),
        ("Figures", figures),
        ("Tables", [tables("warehouse", counts)]),
        ("Batches", batches(states)),
    ]


def opened(browser: Tab, page: Path, **look: Any) -> Tab:
    browser.look(**look)
    browser.open(page.as_uri())
    return browser


@pytest.mark.parametrize(
    "look", [{}, {"dark": True}, {"width": 360}, {"media": "print", "width": 800}]
)
def test_the_browser_complains_of_nothing(browser: Tab, page: Path, look: dict[str, Any]) -> None:
    """No error, no warning, no violation of the policy: on a screen, a phone and paper."""
    opened(browser, page, **look)

    assert browser.complaints() == []
    assert browser.evaluate("document.scripts.length + document.images.length") == 0


def test_the_policy_holds(browser: Tab, page: Path, tmp_path: Path) -> None:
    """A script, a style or an image that got in all the same would not run, and be reported."""
    html = page.read_text()
    added = (
        "<script>document.title='ran'</script><img src=https://example.com/x><p style=color:red>"
    )
    broken = tmp_path / "broken.html"
    broken.write_text(html.replace("</main>", f"{added}</main>"))

    opened(browser, broken)

    assert browser.evaluate("document.title") == "shop (dev)"
    complaints = browser.complaints()
    for what in ("script", "image", "style"):
        assert any(what in said and "Content Security Policy" in said for said in complaints)


def test_plots_are_drawn(browser: Tab, page: Path) -> None:
    """Every plot takes its place, and its lines and bars are inside of it, and visible."""
    opened(browser, page)

    outside = browser.evaluate(
        """[...document.querySelectorAll('svg.plot')].map(plot => {
            const frame = plot.getBoundingClientRect();
            return [...plot.querySelectorAll('polyline, rect, circle, text')].filter(part => {
                const box = part.getBoundingClientRect();
                return box.left < frame.left - 1 || box.right > frame.right + 1
                    || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
            }).length + (frame.width > 200 && frame.height > 100 ? 0 : 1000);
        })"""
    )
    assert outside == [0, 0, 0]
    strokes = browser.evaluate(
        "[...document.querySelectorAll('.legend line')].map(e => getComputedStyle(e).stroke)"
    )
    assert len(strokes) == 7
    assert len(set(strokes)) == 4  # each of the four lines of the first plot has its own


def test_a_screen_reader_has_names_for_everything(browser: Tab, page: Path) -> None:
    """Plots are images with a name and a description, tables regions, headings in their order."""
    opened(browser, page)

    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored")
    ]
    described = [node for node in nodes if node.get("description", {}).get("value")]
    assert ("image", "Sales by week") in named
    assert ("image", "Sales by name") in named
    assert len(described) >= 3
    for role in ("image", "region", "heading", "columnheader"):
        assert all(name.strip() for found, name in named if found == role), role
    levels = browser.evaluate(
        "[...document.querySelectorAll('h1, h2, h3')].map(e => e.tagName).join(' ')"
    )
    assert levels.startswith("H1 H2 H3")
    assert browser.evaluate("document.documentElement.lang") == "en"


def test_every_table_is_reached_and_opened_by_keyboard(browser: Tab, page: Path) -> None:
    """Tab goes through tables and summaries, which shows; Enter opens the table of a plot."""
    opened(browser, page)
    reached, folded = [], "document.activeElement.closest('details')"
    for _ in range(20):
        browser.press("Tab")
        reached.append(browser.evaluate("document.activeElement.tagName"))
        assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        if reached[-1] == "SUMMARY":
            break
    browser.press("Enter")

    assert "DIV" in reached
    assert browser.evaluate(f"{folded}.open") is True
    assert browser.evaluate(f"{folded}.querySelectorAll('tbody tr').length") == 80


def test_light_and_dark_are_readable(browser: Tab, page: Path) -> None:
    """Text of either scheme stands out from its paper as WCAG AA wants it: 4.5 to 1."""
    for dark in (False, True):
        opened(browser, page, dark=dark)
        colours = browser.evaluate(
            "['body', '.card', 'p.note', '.failed strong', '.legend', '.plot text'].map(s => {"
            "const e = getComputedStyle(document.querySelector(s));"
            "return [s === '.plot text' ? e.fill : e.color, e.backgroundColor]})"
        )
        paper = colours[1][1]
        assert (colours[0][1] == LIGHT) is not dark
        for text, _ in colours:
            assert contrast(text, paper) >= 4.5
        for line in browser.evaluate(
            "[...document.querySelectorAll('.legend line')].map(e => getComputedStyle(e).stroke)"
        ):
            assert contrast(line, paper) >= 3


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours: https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio."""
    low, high = sorted(_luminance(each) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour[4:-1].split(",")]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


def test_a_phone_needs_no_scrolling_sideways(browser: Tab, page: Path) -> None:
    """The page is as wide as the screen, tables scroll on their own, and plots stay readable."""
    opened(browser, page, width=360)

    assert browser.evaluate("document.documentElement.scrollWidth") == 360
    heights = browser.evaluate(
        "[...document.querySelectorAll('.plot text')].map(e => e.getBoundingClientRect().height)"
    )
    assert min(heights) >= 11


def test_paper_is_light_and_plots_keep_their_colours(browser: Tab, page: Path) -> None:
    """Printed by somebody who likes it dark, the page is black on white."""
    opened(browser, page, width=800, dark=True, media="print")

    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert browser.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    bar = "getComputedStyle(document.querySelector('.bar'))"
    assert browser.evaluate(f"{bar}.fill") == "rgb(11, 98, 168)"
    assert browser.evaluate(f"{bar}.printColorAdjust") == "exact"


def test_text_that_tries_to_break_out_is_shown_as_text(browser: Tab, page: Path) -> None:
    """Nothing ran, nothing was added, and what was written can be read."""
    opened(browser, page)

    assert browser.evaluate("document.querySelectorAll('[onload], [onerror], a, img').length") == 0
    text = browser.evaluate("document.body.innerText")
    assert "</script><script>alert(1)</script>" in text
    assert "\\u202egnp.exe" in text
