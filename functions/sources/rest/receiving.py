"""The bytes of an answer, as they come: counted as they come and as they expand."""

from collections.abc import Iterator

from urllib3 import HTTPResponse

from functions.common.errors import OversizedAnswerError
from functions.sources.files.decoding import expanded

PIECE_BYTES = 64 << 10


def received(response: HTTPResponse, at_most: int) -> tuple[bytes, bytes]:
    """Return a body as it came, and expanded, of so many bytes at most.

    Raises OversizedAnswerError, UnusableFileError for damaged gzip, and what urllib3 raises for a
    body that is cut.
    """
    body, content = bytearray(), bytearray()

    def pieces() -> Iterator[bytes]:
        for piece in response.stream(PIECE_BYTES, decode_content=False):
            body.extend(piece)
            _require_room(body, at_most)
            yield piece

    for piece in expanded(pieces()):
        content.extend(piece)
        _require_room(content, at_most)
    return bytes(body), bytes(content)


def _require_room(taken: bytearray, at_most: int) -> None:
    if len(taken) > at_most:
        raise OversizedAnswerError
