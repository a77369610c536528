"""HTML and SVG as a tree of elements, so that no text ever becomes markup.

Names and values come from sources to which anybody may write. They are put into the tree as text;
the standard library's serializer escapes it, for elements and for attributes. `shown` makes it one
line that can neither reverse the text next to it nor grow the page.
"""

from xml.etree.ElementTree import (  # nosec B405  nothing is parsed
    Element,
    tostring,
)

from functions.common.text import printable

Content = Element | str
LONGEST = 160  # characters of a text from outside


def shown(text: object, limit: int = LONGEST) -> str:
    """Return a text as one line of at most `limit` characters, with nothing invisible in it."""
    return printable(str(text), limit)


def element(tag: str, *contents: Content, **attributes: str) -> Element:
    """Return an element with texts and elements in it.

    An attribute is written with `_` for `-`, and without one at its end: `class_`, `aria_label`.
    """
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    made = Element(tag, names)
    return extend(made, *contents)


def extend(parent: Element, *contents: Content) -> Element:
    """Append texts and elements to an element, and return it."""
    for content in contents:
        if isinstance(content, Element):
            parent.append(content)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + content
        else:
            parent.text = (parent.text or "") + content
    return parent


def outside(text: object, limit: int = LONGEST) -> Element:
    """Return a text from outside, isolated so that its writing direction ends with it."""
    return element("bdi", shown(text, limit))


def serialized(root: Element) -> str:
    """Return an element as HTML."""
    return tostring(root, encoding="unicode", method="html")
