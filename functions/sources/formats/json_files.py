"""Read JSON, one document a line or all in one array, through a window that slides over the file.

Of lines, a bad one is one bad record. In an array, a syntax error makes the whole file unusable, as
it is not known where the next document begins.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from etl import Table
from functions.common.carried import RECORD_BYTES
from functions.common.errors import UnusableFileError
from functions.sources.formats.documents import TOO_DEEP, Documents

ROWS_BYTES = 4 << 20  # of text, yielded at a time

_BLANKS = re.compile(r"[ \t\r\n]*")
_BREAK = re.compile(r"\r\n?|\n")
_LINE = re.compile(r"([^\r\n]*)(\r\n?|\n)")
_CUT_OFF = 16  # characters before the end, in which text that is cut off may be a syntax error


class JsonReader:
    """The documents of one file, as rows with the declared columns."""

    def __init__(self, table: Table) -> None:
        self.header = list(table.columns)
        self._documents = Documents(table)

    def rows(self, pieces: Iterator[bytes]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a text in UTF-8.

        Raises UnusableFileError for a file that is empty, for an array with a syntax error, and for
        a document that is too large.
        """
        window = _Window(_decoded(pieces))
        first = window.peek()
        if not first:
            raise UnusableFileError("it is empty")
        for _ in self._array(window) if first == "[" else self._lines(window):
            if self._documents.bytes >= ROWS_BYTES:
                yield self._documents.finish()
        if (rows := self._documents.finish()).num_rows:
            yield rows

    def _lines(self, window: "_Window") -> Iterator[None]:
        """Add the document of each line."""
        while True:
            if found := _LINE.match(window.text, window.at):
                self._add_line(window.line, found[1])
                window.move(found.end())
            elif not window.more():
                break
            yield
        if last := window.text[window.at :]:
            self._add_line(window.line, last)

    def _add_line(self, line: int, text: str) -> None:
        start = _after_blanks(text, 0)
        if start == len(text):
            self._documents.refuse(line, text, "it is a blank line")
            return
        try:
            document, end = self._documents.decoded(text, start)
        except json.JSONDecodeError as error:
            why = f"it is not JSON from character {error.pos + 1} on"
        except RecursionError:
            why = TOO_DEEP
        else:
            if (end := _after_blanks(text, end)) == len(text):
                self._documents.add(line, text, document)
                return
            why = f"it is not JSON: more follows the value at character {end + 1}"
        self._documents.refuse(line, text, why)

    def _array(self, window: "_Window") -> Iterator[None]:
        """Add one document of an array after the other."""
        window.move(window.at + 1)
        follows = window.peek()
        if follows == "]":
            window.move(window.at + 1)
        while follows != "]":
            document, end = self._decoded(window)
            self._documents.add(window.line, window.text[window.at : end], document)
            yield
            window.move(end)
            follows = window.peek()
            if follows not in (",", "]"):
                raise _syntax_error(window, "a comma should follow" if follows else "it is cut off")
            window.move(window.at + 1)
            window.peek()
        if window.peek():
            raise _syntax_error(window, "more follows the array")

    def _decoded(self, window: "_Window") -> tuple[Any, int]:
        """Return the document at which a window stands, and where it ends."""
        while True:
            try:
                document, end = self._documents.decoded(window.text, window.at)
            except json.JSONDecodeError as error:
                if _may_go_on(error) and window.more():
                    continue
                window.move(error.pos)
                raise _syntax_error(window) from None
            except RecursionError:
                raise _syntax_error(window, TOO_DEEP) from None
            if _after_blanks(window.text, end) < len(window.text) or not window.more():
                return document, end


def _may_go_on(error: json.JSONDecodeError) -> bool:
    """Return whether the value may be cut off, so that more text could complete it."""
    return error.msg.startswith("Unterminated") or error.pos > len(error.doc) - _CUT_OFF


def _syntax_error(window: "_Window", why: str = "") -> UnusableFileError:
    what = f"it is not JSON from line {window.line} on"
    return UnusableFileError(f"{what}: {why}" if why else what)


class _Window:
    """A part of a text, with the current place `at` and its line in the file."""

    def __init__(self, texts: Iterator[str]) -> None:
        self.text = ""
        self.at = 0
        self.line = 1
        self._texts = texts

    def more(self) -> bool:
        """Read more of the text, and drop what is before the place; False at the end."""
        rest = self.text[self.at :]
        if len(rest) > RECORD_BYTES:
            raise UnusableFileError(
                f"its document on line {self.line} has more than {RECORD_BYTES >> 20} MB"
            )
        text = next(self._texts, None)
        self.text, self.at = rest + (text or ""), 0
        return text is not None

    def move(self, end: int) -> None:
        """Move to a place."""
        self.line += len(_BREAK.findall(self.text, self.at, end))
        self.at = end

    def peek(self) -> str:
        """Move to the next character that is not blank, and return it; "" at the end."""
        self.move(_after_blanks(self.text, self.at))
        while self.at == len(self.text):
            if not self.more():
                return ""
            self.move(_after_blanks(self.text, self.at))
        return self.text[self.at]


def _after_blanks(text: str, start: int) -> int:
    found = _BLANKS.match(text, start)
    return found.end() if found else start


def _decoded(pieces: Iterator[bytes]) -> Iterator[str]:
    r"""Yield text in which invalid bytes are surrogates; no \r\n is split."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    held = ""
    for piece in pieces:
        text = held + decoder.decode(piece)
        held = "\r" if text.endswith("\r") else ""
        yield text.removesuffix(held) if held else text
    yield held + decoder.decode(b"", final=True)
