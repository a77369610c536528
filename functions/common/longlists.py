"""The long lists of a document of a log, in separate objects.

A document has `MOST_BYTES` at most. What is too long for it, such as the files of a large batch or
the tables of a wide source, is an object that the document names with its digest, in `elsewhere`.
A list that is the same as in the document before is not written again.
"""

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

from functions.common.objects import ListKey, Sha256

MOST_BYTES = 100_000
IN_PARTS = 2
"""The form of a document that names lists; most have the first form."""

_REFERENCE_BYTES = 250  # of the name of a list in a document
_ALWAYS = frozenset({"batch", "number", "written_at", "run", "source", "form"})

_fields = msgspec.json.Decoder(dict[str, Raw])


class ListFile(Struct, frozen=True):
    """An object with the value of one field of a document, as JSON."""

    key: ListKey
    sha256: Sha256


class _Elsewhere(Struct, frozen=True):
    elsewhere: dict[str, ListFile] = {}


_elsewhere = msgspec.json.Decoder(_Elsewhere)


def shortened(document: bytes, store: Callable[[bytes], ListFile]) -> bytes:
    """Return a document that names its longest fields, which are stored, if it is too long."""
    if len(document) <= MOST_BYTES:
        return document
    fields, left = _fields.decode(document), len(document)
    files: dict[str, ListFile] = {}
    for name in sorted(fields.keys() - _ALWAYS, key=lambda name: -len(bytes(fields[name]))):
        if left <= MOST_BYTES:
            break
        value = bytes(fields.pop(name))
        files[name] = store(value)
        left += _REFERENCE_BYTES - len(value)
    return msgspec.json.encode({**fields, "form": IN_PARTS, "elsewhere": files})


def lists_of(document: bytes) -> dict[str, ListFile]:
    """Return the lists that a document names, by field; raise msgspec.DecodeError for others."""
    return _elsewhere.decode(document).elsewhere


def lengthened(document: bytes, lists: dict[str, bytes]) -> bytes:
    """Return a document with the values of the lists that it names."""
    fields = _fields.decode(document)
    return msgspec.json.encode(fields | {name: Raw(value) for name, value in lists.items()})
