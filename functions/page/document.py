"""The page as one HTML file, which loads nothing from elsewhere and runs no script."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from xml.etree.ElementTree import Element  # nosec B405  nothing is parsed

from etl import product
from functions.page.figures import card
from functions.page.markup import element, extend, outside, serialized, shown
from functions.page.numbers import moment

BYTES_AT_MOST = 900_000  # of the page, to weigh less than 1 MB


def document(
    pipeline: str, stage: str, now: datetime, parts: Sequence[tuple[str, Iterable[Element]]]
) -> bytes:
    """Return the page: `parts` are its headings, each with the cards below it.

    Cards that would make the page too large are replaced by a note.
    """
    title = f"{pipeline} ({stage})"
    main, weight = element("main"), 0
    for heading, cards in parts:
        grid = element("div", class_="grid")
        for each in cards:
            size = len(serialized(each).encode())
            fits = weight + size <= BYTES_AT_MOST
            weight += size if fits else 0
            grid.append(each if fits else _left_out(each))
        if len(grid):
            extend(main, element("h2", heading), grid)
    body = element("body", _head_line(title, now), main)
    return (
        f"<!DOCTYPE html>\n{serialized(element('html', _head(title), body, lang='en'))}\n".encode()
    )


def _left_out(of: Element) -> Element:
    why = element("p", "Not shown: the page would weigh more than 1 MB.", class_="failed")
    return card(of.attrib["aria-label"], why)


def _head(title: str) -> Element:
    style = (Path(__file__).parent / "page.css").read_text()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # Nothing is loaded, sent or run, whatever text there is: no script, no form, no base, no image
    # but the empty icon, without which a browser asks the server for one.
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", **{"http-equiv": "Content-Security-Policy"}, content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="robots", content="noindex"),
        element("link", rel="icon", href="data:,"),
        element("title", shown(title)),
        element("style", style),
    )


def _head_line(title: str, now: datetime) -> Element:
    made = (
        f"Made by {product.NAME} at {moment(now)} UTC. "
        "It is made again after each load, at most once a minute, and every hour."
    )
    return element("header", element("h1", outside(title)), element("p", made, class_="note"))
