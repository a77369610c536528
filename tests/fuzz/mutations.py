"""Strategies for input that is nearly right: what a damaged or a malicious writer would send."""

import json
from typing import Any

from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Return bytes of which some pieces are cut out, repeated or replaced."""
    body = draw(whole)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(len(body), start + 40)))
        piece = draw(st.binary(max_size=8) | st.just(body[start:end] * 2))
        body = body[:start] + piece + body[end:]
    return body


@st.composite
def rewritten(draw: st.DrawFn, document: Any) -> bytes:
    """Return a JSON document in which some values have become any others."""
    changed = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(0, 4))):
        inner = changed
        while isinstance(inner, dict | list) and inner:
            keys = list(inner) if isinstance(inner, dict) else range(len(inner))
            step = draw(st.sampled_from(keys))
            if not isinstance(inner[step], dict | list) or draw(st.integers(0, 3)) == 0:
                inner[step] = draw(JSON)
                break
            inner = inner[step]
    return json.dumps(changed).encode("utf-8", "surrogatepass")
