"""Where refused rows of a file are written."""

import pytest

from functions.transform.refusals import errors_key


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
