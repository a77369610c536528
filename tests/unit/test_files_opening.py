"""The bytes of a file, over connections that break, compressed, and in the encodings there are."""

import gzip
import zlib
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from functions.common import gunzip
from functions.common.accounts import FileVersion
from functions.common.errors import MissingFileError, UnusableFileError
from functions.sources.files import opening
from functions.sources.files.listing import Place
from functions.sources.files.opening import bytes_of
from functions.sources.formats import decoding
from functions.sources.formats.decoding import utf8

TEXT = b"0123456789"


class Breaking(BytesIO):
    """A body that breaks after some bytes."""

    def __init__(self, body: bytes, after: int) -> None:
        super().__init__(body[:after])
        self._breaks = after < len(body)

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        if not piece and self._breaks:
            raise ReadTimeoutError(endpoint_url="s3")
        return piece


class Server:
    """An S3 that breaks each answer after as many bytes as `breaks` says, then none."""

    def __init__(self, *breaks: int, code: str | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self._breaks = iter(breaks)
        self._code = code

    def get_object(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        if self._code:
            raise ClientError({"Error": {"Code": self._code}}, "GetObject")
        start = int(asked.get("Range", "bytes=0-")[6:-1])
        return {"Body": Breaking(TEXT[start:], next(self._breaks, len(TEXT)))}


def read(server: Any, version: str | None = "v1", size: int = len(TEXT)) -> bytes:
    place = Place(server, "drop", "", "DROP_BUCKET", "DROP_REGION")
    file = FileVersion("drop", "a.csv", version, "etag", size, datetime(2024, 1, 1, tzinfo=UTC))
    return b"".join(bytes_of(place, file))


def test_a_connection_that_breaks_goes_on_where_it_broke() -> None:
    """With the same version, and no byte twice or never."""
    server = Server(4, 0, 3)

    assert read(server) == TEXT
    assert [each.get("Range") for each in server.asked] == [
        None,
        "bytes=4-",
        "bytes=4-",
        "bytes=7-",
    ]
    assert {each["VersionId"] for each in server.asked} == {"v1"}


def test_without_versions_the_same_bytes_are_asked_for() -> None:
    """S3 refuses to go on with another file under the same key."""
    server = Server(4)

    assert read(server, version=None) == TEXT
    assert [each["IfMatch"] for each in server.asked] == ['"etag"', '"etag"']


def test_a_connection_that_gets_nothing_any_more_is_an_error() -> None:
    """The run fails, and the next one tries again."""
    server = Server(*[0] * 100)

    with pytest.raises(ReadTimeoutError):
        read(server)
    assert len(server.asked) == opening.ATTEMPTS


@pytest.mark.parametrize(
    "code", ["NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "PreconditionFailed"]
)
def test_a_file_that_is_not_there_as_it_was_is_gone(code: str) -> None:
    """Deleted, or overwritten where the bucket keeps no versions."""
    with pytest.raises(
        MissingFileError, match=r"s3://drop/a\.csv was replaced or deleted after it"
    ):
        read(Server(code=code))


def test_a_file_in_an_archive_cannot_be_used() -> None:
    """Its owner has to restore it."""
    with pytest.raises(UnusableFileError, match="it is archived: restore it"):
        read(Server(code="InvalidObjectState"))


def test_a_file_that_is_too_large_is_not_asked_for() -> None:
    """It could not be read in the time of a function."""
    server = Server()

    with pytest.raises(UnusableFileError, match="it has more than 20 GB: split it"):
        read(server, size=21 << 30)
    assert server.asked == []


def text_of(body: bytes, encoding: str = "utf-8", size: int = 0) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)] if size else [body]
    return b"".join(utf8(iter(pieces), encoding))


ENCODED = [
    ("plain é".encode(), "utf-8"),
    (b"\xef\xbb\xbf" + "plain é".encode(), "utf-8"),
    ("plain é".encode("cp1252"), "cp1252"),
    ("plain é".encode("utf-16"), "utf-8"),
    (b"\xfe\xff" + "plain é".encode("utf-16-be"), "cp1252"),
    ("plain é".encode("utf-16-be"), "utf-16-be"),
]


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize(("body", "encoding"), ENCODED)
def test_text_is_utf8_whatever_it_was_before(body: bytes, encoding: str, size: int) -> None:
    """A byte order mark says how it was written, else the declaration; compressed or not."""
    assert text_of(body, encoding, size) == "plain é".encode()
    assert text_of(gzip.compress(body), encoding, size) == "plain é".encode()


@pytest.mark.parametrize("size", [0, 1])
def test_gzip_may_have_several_members_and_zeros_after_them(size: int) -> None:
    """As `cat a.gz b.gz` writes it, and as a tape does."""
    body = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two") + b"\0" * 9

    assert text_of(body, size=size) == b"one two"


def test_what_is_no_character_stays_what_it_was() -> None:
    """So that it is found in its cell, and costs no other."""
    assert text_of(b"a\x81b\xe9", "cp1252") == b"a\x81b" + "é".encode()
    assert text_of(b"a\xff\xe9", "utf-8") == b"a\xff\xe9"
    assert text_of("a\ud800b".encode("utf-16-le", "surrogatepass"), "utf-16-le") == (
        b"a\xed\xa0\x80b"
    )


# Without the time: the bytes name the tests, which are the same ones in every process.
PACKED = gzip.compress(TEXT, mtime=0)


@pytest.mark.parametrize(
    ("body", "encoding", "why"),
    [
        (PACKED[:-1], "utf-8", "it is cut off: gzip's data end before they should"),
        (PACKED[:-4] + b"abcd", "utf-8", "it is damaged: it cannot be expanded"),
        (PACKED + b"more", "utf-8", "it is damaged: it cannot be expanded by gzip"),
        ("é".encode("utf-16") + b"a", "utf-8", "it is not text in utf-16-le: declare the encoding"),
    ],
)
def test_bytes_that_are_no_text_are_refused(body: bytes, encoding: str, why: str) -> None:
    """The whole file is, with the reason."""
    with pytest.raises(UnusableFileError, match=why):
        text_of(body, encoding)


def test_a_bomb_is_not_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither into memory, where a piece is all there is at a time, nor into the lake."""
    monkeypatch.setattr(decoding, "EXPANDED_AT_MOST", 40 << 20)
    bomb = zlib.compress(b"\0" * (100 << 20), wbits=31)
    sizes: list[int] = []

    def read_all() -> None:
        sizes.extend(map(len, utf8(iter([bomb]), "utf-8")))

    with pytest.raises(UnusableFileError, match="it has more than 20 GB: split it"):
        read_all()
    assert max(sizes) <= 2 * gunzip.PIECE_BYTES
