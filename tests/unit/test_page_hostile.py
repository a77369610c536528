"""Text from outside on a page: whatever it is, it stays text, on one line, of a bounded length."""

import base64
import hashlib
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl import Figure
from functions.page.document import document
from functions.page.figures import card, drawn
from functions.page.markup import element, outside, shown
from functions.page.tables import table
from functions.targets.reading import Rows

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
BREAKING_OUT = (
    "</script><script>alert(1)</script>",
    "</style><style>*{display:none}</style>",
    "</title></desc></svg><img src=x onerror=alert(1)>",
    "\"'><svg onload=alert(1)>",
    "' onmouseover='alert(1)",
    "--></bdi><!--",
    "]]><![CDATA[",
    "&lt;script&gt;&#60;b&#62;",
    "url(javascript:alert(1)); background:url(//evil.example)",
    "javascript:alert(1)",
    "{{constructor.constructor('alert(1)')()}}",
    "\u202egnp.exe\u2066\u2069\u200f",
    "\x00\x1b[31m\x85\u2028\ud800\ufffe",
)
TAGS = {
    *("html", "head", "meta", "link", "title", "style", "body", "header", "main", "h1", "h2", "h3"),
    *("p", "bdi", "div", "section", "span", "strong", "table", "thead", "tbody", "tr", "th", "td"),
    *("details", "summary", "ul", "li", "dl", "dt", "dd", "svg", "desc", "line", "text", "rect"),
    *("polyline", "circle"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "rel", "href", "class", "role", "scope"),
    *("tabindex", "aria-label", "aria-hidden", "viewbox", "x", "y", "x1", "x2", "y1", "y2", "rx"),
    *("cx", "cy", "r", "points", "width", "height"),
}


class _Seen(HTMLParser):
    """What a parser of HTML makes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str | None] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value for name, value in attrs if name in ("href", "src")}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page(*cards: Element, title: str = "shop") -> bytes:
    return document(title, "dev", NOW, [("Figures", cards)])


def everywhere(text: str) -> bytes:
    """Return a page that has a text wherever one from outside can be."""
    columns = (text, f"{text} 2", "number")
    found: list[tuple[Any, ...]] = [(text, f"{text} b", 1), (f"{text} c", text, 2)]
    options: dict[str, Any] = {"unit": text, "note": text}
    kinds = ("lines", "bars", "table", "number")
    figures = [
        drawn(Figure(f"{text}.", "SELECT 1", "lines", series=f"{text} 2", **options),
              Rows(columns, found, True)),
        *(
            drawn(Figure(f"{text}.", "SELECT 1", kind, **options),  # type: ignore[arg-type]
                  Rows((text, "number"), [(text, 1), (f"{text} c", 2)], True))
            for kind in kinds
        ),
    ]  # fmt: skip
    return page(*figures, title=f"{text}.")


def seen(body: bytes) -> _Seen:
    parser = _Seen()
    parser.feed(body.decode())
    parser.close()
    return parser


@pytest.mark.parametrize("text", BREAKING_OUT)
def test_text_that_tries_to_break_out_stays_text(text: str) -> None:
    """A page has our elements and attributes alone, and the text is there to be read."""
    parser = seen(everywhere(text))

    assert parser.tags <= TAGS
    assert parser.attributes <= ATTRIBUTES
    assert parser.links == {"data:,"}
    assert shown(text) in parser.texts


@given(st.text(min_size=1))
def test_any_text_stays_text(text: str) -> None:
    """No text at all adds an element or an attribute, or makes a page that is not UTF-8."""
    parser = seen(everywhere(text))

    assert parser.tags <= TAGS
    assert parser.attributes <= ATTRIBUTES


def test_text_cannot_turn_around_what_stands_beside_it() -> None:
    """Overrides of the direction are shown as what they are, and each text is isolated."""
    body = page(card("Names", table("Names", ["name"], [["\u202edrawkcab"], ["עברית"]]))).decode()

    assert "\\u202edrawkcab" in body
    assert "<bdi>עברית</bdi>" in body
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00-\x08\x0b-\x1f]", body)


def test_a_label_of_a_megabyte_is_cut() -> None:
    """Wherever a text stands, it takes a few hundred characters at most."""
    assert len(everywhere("x" * 1_000_000)) < 30_000
    assert len(everywhere("日" * 1_000_000)) < 60_000


def test_a_page_is_bounded_and_says_what_it_left_out() -> None:
    """What would make a page of a megabyte is named, and what comes after it is there still."""
    rows = [[f"{number:0150}"] for number in range(8_000)]
    heavy = card("Heavy", table("Heavy", ["a"], rows))

    body = page(card("First"), heavy, card("Last")).decode()

    assert len(body) < 10_000
    for title in ("First", "Heavy", "Last"):
        assert f"<bdi>{title}</bdi>" in body
    assert "Not shown: the page would weigh more than 1 MB." in body


def test_nothing_is_fetched_run_or_sent() -> None:
    """The policy allows the one style sheet, by its digest, and an empty icon; no more."""
    body = page(card("Empty")).decode()
    [style] = re.findall(r"<style>(.*?)</style>", body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    ) in body
    assert "url(" not in style
    assert "@import" not in style
    assert body.startswith('<!DOCTYPE html>\n<html lang="en">')


def test_an_element_of_ours_is_no_text() -> None:
    """Elements and texts are distinguished by their type, never by what is in a text."""
    cell = element("td", outside("<b>"), element("strong", "b"))

    assert [child.tag for child in cell] == ["bdi", "strong"]
    assert "".join(cell.itertext()) == "<b>b"
