"""Where refused rows of a file are written."""

from datetime import UTC, datetime

import pytest

from functions.common.accounts import FileAccount, FileVersion
from functions.transform import refusals
from functions.transform.refusals import errors_key, still_open


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("orders.csv", "errors/orders/orders.csv"),
        ("orders.csv.gz", "errors/orders/orders.csv.gz.csv"),
        ("2026/ü b+.json", "errors/orders/2026/ü b+.json.csv"),
        ("out/orders.csv", "errors/orders/orders.csv"),
        ("../../batches/a", "errors/orders/%2E%2E/%2E%2E/batches/a.csv"),
        ("./a..b/.csv", "errors/orders/%2E/a..b/.csv"),
        ("a\nb\x7f.csv", "errors/orders/a%0Ab%7F.csv"),
    ],
)
def test_errors_are_under_the_name_of_the_file(key: str, expected: str) -> None:
    """Whoever knows the file finds them, and no name leads anywhere else."""
    assert errors_key("orders", key, "out/") == expected


def test_a_name_that_is_too_long_is_cut_and_stays_distinct() -> None:
    """S3 takes 1,024 bytes, which a file's own key may have."""
    keys = [errors_key("orders", "ü" * 511 + end, "") for end in "ab"]

    assert len(set(keys)) == len(keys)
    assert all(len(key.encode()) <= 1024 and key.endswith(".csv") for key in keys)


def test_a_name_of_just_the_bytes_that_s3_takes_is_whole() -> None:
    """It is the file's own, without a mark."""
    name = "o" * (1024 - len("errors/orders/.csv"))

    assert errors_key("orders", name, "") == f"errors/orders/{name}.csv"
    assert len(errors_key("orders", f"{name}o", "")) == 1024
    assert f"errors/orders/{name}" not in errors_key("orders", f"{name}o", "")


def account(table: str, key: str, refused: int, reason: str | None = None) -> FileAccount:
    version = FileVersion("drop", key, None, "etag", 1, datetime(2026, 11, 9, tzinfo=UTC))
    return FileAccount(table, version, refused + 1, 1, refused, None, reason)


WRONG, RIGHT = account("orders", "a.csv", 1), account("orders", "a.csv", 0)
UNREADABLE = account("rates", "b.csv", 0, "it is no CSV")


@pytest.mark.parametrize(
    ("now", "replaced", "found"),
    [
        ([], [], [WRONG, UNREADABLE]),
        ([RIGHT], [], [UNREADABLE]),
        ([RIGHT, WRONG], [], [WRONG, UNREADABLE]),
        (
            [account("orders", "c.csv", 2), account("rates", "d.csv", 3)],
            [],
            [account("rates", "d.csv", 3), account("orders", "c.csv", 2), WRONG, UNREADABLE],
        ),
        ([account("rates", "d.csv", 0)], ["rates"], [WRONG]),
        ([account("rates", "d.csv", 3)], ["rates"], [account("rates", "d.csv", 3), WRONG]),
        ([account("rates", "a.csv", 0)], [], [WRONG, UNREADABLE]),
    ],
    ids=["none", "corrected", "wrong again", "more", "replaced", "and wrong", "other table"],
)
def test_a_refused_file_is_open_until_a_newer_one_supersedes_it(
    now: list[FileAccount], replaced: list[str], found: list[FileAccount]
) -> None:
    """One of its name does, or any of its table where a file is the whole table."""
    assert still_open([WRONG, UNREADABLE], now, replaced) == found


def test_the_oldest_refused_files_are_left_out_of_a_long_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A manifest stays readable however many files are wrong."""
    monkeypatch.setattr(refusals, "OPEN_AT_MOST", 2)
    newest = account("orders", "c.csv", 2)

    assert still_open([WRONG, UNREADABLE], [newest], []) == [newest, WRONG]
