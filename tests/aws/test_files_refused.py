"""Hostile files, from the bucket that they are dropped into to the target rows and the errors."""

import csv
import gzip
import io
from datetime import UTC, datetime
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.common.accounts import FileAccount
from functions.common.batchlog import BatchLog
from functions.common.logs import Logs
from functions.common.manifests import ProcessedManifest
from functions.transform import files
from functions.transform import handler as transform
from functions.transform.filerows import write_rows
from tests.aws.drop import Drop

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def remodelled(drop: Drop) -> ProcessedManifest:
    """Extract what was dropped, and remodel it; half of a file may be bad."""
    drop.batch()
    logs = Logs(drop.log, drop.processed)
    run = transform.work_off(
        drop.pipeline, logs, "run", lambda: NOW, lambda: True, environment={"MAX_REJECTS": "95%"}
    )
    return list(run)[-1]


def target_rows(drop: Drop, done: ProcessedManifest, table: str) -> list[tuple[object, ...]]:
    bucket = drop.processed.bucket
    parts = [
        pq.read_table(pa.BufferReader(bucket.get(file.key))) for file in done.tables[table].files
    ]
    return [tuple(row.values()) for part in parts for row in part.to_pylist()]


def errors(drop: Drop, account: FileAccount) -> list[tuple[int, str, str]]:
    assert account.errors is not None
    text = drop.processed.bucket.get(account.errors).decode()
    return [
        (int(line), reasons, row)
        for line, reasons, row in list(csv.reader(io.StringIO(text, newline="")))[1:]
    ]


HEADER = b"id,note\n"
TOO_FEW, TOO_MANY = "it has 1 value, and the header has 2", "it has 3 values, and the header has 2"
Refused = tuple[int, str, str]


@pytest.mark.parametrize(
    ("body", "good", "bad"),
    [
        pytest.param(
            HEADER + b'1,"a\nb\r\nc"\nx,"d\ne"\n2,f\n', [(1, "a\nb\r\nc"), (2, "f")],
            [(5, "id is not a whole number: 'x'", 'x,"d\ne"')], id="line breaks in quotes",
        ),
        pytest.param(
            HEADER + b"1\n2,a\n3,b,c\n\n4,d\n", [(2, "a"), (4, "d")],
            [(2, TOO_FEW, "1"), (4, TOO_MANY, "3,b,c"), (5, "it is a blank line", "")], id="ragged",
        ),
        pytest.param(
            HEADER + b"one,caf\xe9\n2,caf\xc3\xa9\n", [(2, "café")],
            [(2, "note is not UTF-8; id is not a whole number: 'one'", r"one,caf\xe9")],
            id="bytes of Windows-1252",
        ),
        pytest.param(
            HEADER + b"01234,a\n-0,\n,b\n99999999999,c\n", [(1234, "a")],
            [(3, "has no note", "-0,"), (4, "has no id", ",b"),
             (5, "id is out of the range of integer, -2147483648 to 2147483647: '99999999999'",
              "99999999999,c")], id="numbers",
        ),
        pytest.param(
            "\ufeffnote,more,id\r\n\" a \",x,1\r\nb,y,ten\r\n".encode(), [(1, " a ")],
            [(3, "id is not a whole number: 'ten'", "b,y,ten")], id="other columns, and a mark",
        ),
        pytest.param(
            gzip.compress("id,note\r1,ü\rx,y\r".encode("utf-16")), [(1, "ü")],
            [(3, "id is not a whole number: 'x'", "x,y")], id="UTF-16, CR alone, compressed",
        ),
    ],
)  # fmt: skip
def test_each_row_of_a_file_is_in_its_table_or_in_the_errors(
    drop: Drop, body: bytes, good: list[tuple[int, str]], bad: list[Refused]
) -> None:
    """With the line of the file on which it begins, what is wrong, and as it came."""
    drop.put("orders.csv", body)
    done = remodelled(drop)
    [account] = done.files
    assert target_rows(drop, done, "orders") == good
    assert errors(drop, account) == bad
    assert (account.rows, account.out, account.refused) == (
        len(good) + len(bad), len(good), len(bad),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_no_row_of_a_random_file_is_lost_or_moved(drop: Drop, seed: int) -> None:
    """Each is in the target or in the errors, once, in order, with the line that it is on."""
    random, line, good, bad = Random(seed), 2, [], []
    ending, text = random.choice(["\n", "\r\n", "\r"]), ["id,note"]
    for number in range(3_000):
        note = random.choice(
            ["a", "b, c", 'd "e"', f"f{ending}g", "  ", "ü" * random.randint(1, 9)]
        )
        quoted = '"' + note.replace('"', '""') + '"'
        raw, reason = random.choice(
            [
                *[(f"{number},{quoted}", "")] * 8,
                (f"n{number},{quoted}", f"id is not a whole number: 'n{number}'"),
                (f"{number},{quoted},{quoted}", TOO_MANY),
                (f"{number}", TOO_FEW),
                (f"{number},", "has no note"),
                ("", "it is a blank line"),
            ]
        )
        text.append(raw)
        if reason:
            bad.append((line, reason))
        else:
            good.append((number, note))
        line += 1 + raw.count(ending)
    drop.put("orders.csv", ending.join([*text, ""]))
    done = remodelled(drop)
    assert target_rows(drop, done, "orders") == good
    assert [found[:2] for found in errors(drop, done.files[0])] == bad


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it is empty"),
        (b"id,text\n1,a\n", "its header has no column note"),
        (b"id,note,id\n1,a,2\n", "its header has two columns id"),
    ],
)
def test_a_file_that_cannot_be_used_at_all_is_refused(drop: Drop, body: bytes, why: str) -> None:
    """The others of the batch go on."""
    drop.put("orders.csv", body)
    drop.put("orders-2.csv", HEADER + b"1,a\n")
    done = remodelled(drop)
    assert target_rows(drop, done, "orders") == [(1, "a")]
    [account] = done.refusals
    assert (account.file.key, account.reason, errors(drop, account)) == (
        "orders.csv", why, [(1, why, "")],
    )  # fmt: skip


def test_documents_are_refused_as_they_came(drop: Drop) -> None:
    """Values of another type, fields that come twice and NaN: nothing is guessed."""
    lines = ['{"id": 1, "note": "a"}', '{"id": 1.5, "note": 2}', '{"id": NaN, "note": "b"}',
             '{"id": 2, "id": 3, "note": "c"}', '{"note": "d"}', "{",
             '{"id": "4", "note": "e"}']  # fmt: skip
    drop.put("notes.json", "\n".join(lines))
    done = remodelled(drop)
    [account] = done.files
    found = errors(drop, account)
    assert target_rows(drop, done, "notes") == [(1, "a"), (4, "e")]
    assert [(line, row) for line, _, row in found] == [(n, lines[n - 1]) for n in range(2, 7)]
    assert [reasons for _, reasons, _ in found][:4] == [
        "note is a number and not a text; id is not a whole number: '1.5'", "NaN is not JSON",
        "it has two fields id", "has no id",
    ]  # fmt: skip


def test_a_corrected_file_goes_through(drop: Drop) -> None:
    """The refusal is closed, and the input itself is never touched."""
    drop.put("reviews/1.csv", "stars\nfive\n")
    assert remodelled(drop).tables["reviews"].snapshot is False
    drop.put("reviews/1.csv", "stars\n5\n5\n")
    done = remodelled(drop)
    assert target_rows(drop, done, "reviews") == [(5,), (5,)]
    assert done.refusals == []
    with drop.client.get_object(Bucket="drop", Key="reviews/1.csv")["Body"] as body:
        assert body.read() == b"stars\n5\n5\n"


def test_a_run_that_was_overtaken_leaves_the_errors_of_newer_files(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one has made its batch and the next while it was held up; then it was killed."""
    drop.put("orders.csv", HEADER + b"1,a\nx,b\ny,c\n")
    drop.batch()
    drop.put("orders.csv", HEADER + b"1,a\n2,b\nz,c\n")
    done: list[ProcessedManifest] = []

    def held_up(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(files, "write_rows", write_rows)
        done.append(remodelled(drop))
        return write_rows(*arguments, **options)

    monkeypatch.setattr(files, "write_rows", held_up)
    processed = BatchLog(drop.processed.bucket, drop.processed.source, ProcessedManifest)
    transform_until_killed(drop, processed)

    assert [each.batch for each in done] == [2]
    assert [line for line, *_ in errors(drop, done[0].files[0])] == [4]


def test_a_run_that_is_overtaken_while_it_writes_leaves_the_errors_of_newer_files(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one is as fast as that between its look at the log and its write."""
    drop.put("orders.csv", HEADER + b"1,a\nx,b\ny,c\n")
    drop.batch()
    drop.put("orders.csv", HEADER + b"1,a\n2,b\nz,c\n")
    done: list[ProcessedManifest] = []
    processed = BatchLog(drop.processed.bucket, drop.processed.source, ProcessedManifest)
    newest, looks = processed.newest, 0

    def held_up() -> int:
        nonlocal looks
        looks += 1
        found = newest()
        if looks == 2:  # the first is that of the run's beginning
            done.append(remodelled(drop))
        return found

    monkeypatch.setattr(processed, "newest", held_up)
    transform_until_killed(drop, processed)

    assert [each.batch for each in done] == [2]
    assert [line for line, *_ in errors(drop, done[0].files[0])] == [4]


def test_the_newest_version_in_a_batch_has_the_errors(drop: Drop) -> None:
    """Two runs at the same batch cannot end with the refused rows of an older version."""
    drop.put("orders.csv", HEADER + b"1,a\nx,b\n")
    drop.put("orders.csv", HEADER + b"1,a\n2,b\nz,c\n")
    done = remodelled(drop)

    older, newer = done.files
    assert (older.refused, older.errors) == (1, None)
    assert errors(drop, newer) == [(4, "id is not a whole number: 'z'", "z,c")]


def transform_until_killed(drop: Drop, processed: BatchLog[ProcessedManifest]) -> None:
    """Transform the next batch, but be killed before its manifest is written."""

    def killed(_: object) -> bool:
        raise KeyboardInterrupt

    done = transform.work_off(
        drop.pipeline, Logs(drop.log, processed), "run", lambda: NOW, lambda: True,
        environment={"MAX_REJECTS": "95%"},
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processed, "claim", killed)
        with pytest.raises(KeyboardInterrupt):
            list(done)
