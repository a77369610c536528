"""The mails about batches of files, compared whole."""

from datetime import UTC, datetime
from typing import Any

import pytest

from etl import Integer, Model, PostgresWarehouse, Table, replace
from functions.common.accounts import FileAccount, FileVersion
from functions.common.loaded import Loaded, LoadedMarker, Warehouse
from functions.common.manifests import Source
from functions.common.text import unlinked
from functions.targets import Made
from tests.unit.notice_steps import notice_of

AT = datetime(2026, 11, 22, 6, 30, 5, tzinfo=UTC)
MARKER = LoadedMarker(
    number=3,
    batch=3,
    written_at=AT,
    run="run",
    source=Source("", 0, "shop-drop", AT),
    warehouse=Warehouse("1", "w", 5, "s", AT, {}),
    since=1,
    has={},
    evidence={},
    rows={"orders": Loaded(10_000, 10_000, 0, deleted=9_990)},
    age_seconds=41.2,
    refused={},
    tried_at=None,
    definitions="",
)
ORDERS = replace(Table("orders", key=(), columns={"n": Integer()}))


def says(rows: Any) -> str:
    return f"{rows[0]['late']} shipments are late,\nwhich is 12.5 % of all: see http://evil.example"


LATE, PLAIN = (
    Model(
        name,
        inputs=[ORDERS],
        sql="SELECT 1",
        columns={"late": Integer()},
        way="replace",
        says=words,
    )
    for name, words in (("late", says), ("plain", None))
)
TARGET = PostgresWarehouse("warehouse", (ORDERS,), models=(LATE, PLAIN))


def file(key: str, rows: int, refused: int = 0, reason: str | None = None) -> FileAccount:
    """Return the outcome of a file; with refused rows there is an object that says why."""
    version = FileVersion("shop-drop", key, "v1", "etag", 10, AT)
    out = 0 if reason else rows - refused
    errors = f"errors/orders/{key}" if refused else None
    return FileAccount("orders", version, rows, out, rows - out, errors, reason)


def test_a_mail_says_what_became_of_each_file_and_what_came_of_it() -> None:
    """Rows read, staged and refused, the results in words, and where everything is."""
    subject, text = notice_of(
        MARKER,
        [file("orders.csv", 10_003, refused=3), file("2026/reviews.csv.gz", 5_000)],
        TARGET,
        made={"late": Made(1, [{"late": 12}]), "plain": Made(1_200, None)},
        exports=["exports/analytics/late/2026-11-22.csv"],
    )

    assert subject == "2 files are in the warehouse, without 3 rows that were refused"
    assert text == (
        "2 files were read from shop-drop at 2026-11-22 06:30:05 UTC.\n"
        "Batch 3 was complete 41 seconds later.\n"
        "\n"
        "orders.csv: 10,003 rows read, 10,000 staged, 3 refused\n"
        "    The refused rows and why: s3://processed/errors/orders/orders.csv\n"
        "2026/reviews.csv.gz: 5,000 rows read, 5,000 staged\n"
        "\n"
        "Results:\n"
        "12 shipments are late,\n"
        "which is 12.5 % of all: see http[:]//evil[.]example\n"
        "plain: 1,200 rows\n"
        "\n"
        "Exports:\n"
        "s3://processed/exports/analytics/late/2026-11-22.csv"
    )


def test_a_mail_says_that_a_drop_was_refused() -> None:
    """In its subject, with the reason for each file."""
    reason = "812 of 10,000 rows cannot be used, and 5 % is the most"
    files = [
        file("orders.csv", 10_000, refused=812, reason=reason),
        file("reviews.csv", 5, reason="it belongs together with orders.csv"),
    ]

    subject, text = notice_of(MARKER, files, TARGET)

    assert subject == "2 files were refused, and nothing was loaded"
    assert text.splitlines()[3:] == [
        f"orders.csv: refused, nothing of it was loaded: {reason}",
        "    The refused rows and why: s3://processed/errors/orders/orders.csv",
        "reviews.csv: refused, nothing of it was loaded: it belongs together with orders.csv",
    ]


@pytest.mark.parametrize(
    ("files", "failed", "subject"),
    [
        ([file("a.csv", 5)], {}, "a.csv is in the warehouse"),
        ([file("a.csv", 5, 1)], {}, "a.csv is in the warehouse, without 1 row that was refused"),
        ([file("a.csv", 5, 5, "no")], {}, "a.csv was refused, and nothing was loaded"),
        (
            [file("a.csv", 5, 5, "no"), file("b.csv", 5)],
            {},
            "a.csv was refused, the rest is in the warehouse",
        ),
        ([file("a.csv", 5)], {"late": "x"}, "a.csv is in the warehouse, but a model failed"),
        ([], {"late": "x", "plain": "y"}, "Batch 3 is in the warehouse, but 2 models failed"),
    ],
)
def test_the_subject_says_how_it_went(
    files: list[FileAccount], failed: dict[str, str], subject: str
) -> None:
    """The subject alone shows whether there is something to do."""
    assert notice_of(MARKER, files, TARGET, failed=failed)[0] == subject


def test_a_model_that_failed_is_in_the_mail() -> None:
    """With what the database says of it, and what its table shows now."""
    _, text = notice_of(MARKER, [file("a.csv", 5)], TARGET, failed={"late": "model late: no [1]"})

    assert text.splitlines()[-2:] == ["What failed:", "model late: no [1]. Its table is as it was."]


def test_words_that_cannot_be_found_cost_the_words_alone(caplog: pytest.LogCaptureFixture) -> None:
    """A model whose function fails over its rows is reported by their number."""
    _, text = notice_of(MARKER, [file("a.csv", 5)], TARGET, made={"late": Made(0, [])})

    assert text.splitlines()[-1] == "late: 0 rows"
    assert caplog.messages == ["a model's text for the notice failed"]


def test_a_mail_of_many_files_names_those_with_refused_rows_first() -> None:
    """And says how many it does not name."""
    files = [file(f"{number}.csv", 5) for number in range(150)] + [file("bad.csv", 5, 1)]

    _, text = notice_of(MARKER, files, TARGET)

    assert text.splitlines()[3].startswith("bad.csv: 5 rows read, 4 staged, 1 refused")
    assert text.splitlines()[-1] == "… and 51 more files"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("orders.csv", "orders.csv"),
        ("errors/orders/a.err", "errors/orders/a.err"),
        ("2026/11/orders.csv.gz: 12.5 % at 06:30", "2026/11/orders.csv.gz: 12.5 % at 06:30"),
        ("https://evil.example/a.csv", "https[:]//evil[.]example/a.csv"),
        ("www.evil.example", "www[.]evil[.]example"),
        ("a.csv.evil.example", "a.csv[.]evil[.]example"),
        ("me@evil", "me[@]evil"),
        ("\\\\server\\share", "[\\]\\server\\share"),
        ("a\r\nb\x1b[31m", "a\\r\\nb\\x1b[31m"),
    ],
)
def test_no_name_of_a_file_becomes_a_link(text: str, expected: str) -> None:
    """People who may drop files choose their names, and mail programs make links of some."""
    assert unlinked(text) == expected


def test_one_row_is_no_rows() -> None:
    """A mail counts as a person does."""
    _, text = notice_of(MARKER, [file("a.csv", 1)], TARGET, made={"plain": Made(1, None)})

    assert "a.csv: 1 row read, 1 staged" in text
    assert "plain: 1 row\n" in text + "\n"
