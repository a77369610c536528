"""The mails about each file, and about each of its five steps, compared whole."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from functions.common.accounts import FileAccount, FileRead, FileVersion, KnownFiles
from functions.common.loaded import Loaded
from functions.common.manifests import IngestionManifest, Source
from functions.common.notices import Notice
from functions.extract import notices as of_extract
from functions.load import notices as of_load
from functions.transform import notices as of_transform
from tests.unit.notice_steps import TARGET, step_of
from tests.unit.test_load_notices import MARKER, file

AT = datetime(2026, 11, 22, 6, 30, 5, tzinfo=UTC)
LOADED = replace(MARKER, rows={"thing": Loaded(1_200, 1_190, 7, refused=3)})


def received(*files: FileAccount, error: str | None = None) -> list[Notice]:
    """Return the notices of extract about files."""
    read = [
        FileRead("thing", each.file, [], 0 if error else each.rows, [], error) for each in files
    ]
    source = Source("", 0, "drop", AT)
    manifest = IngestionManifest(
        3, AT, "run", source, {}, {}, None, None, {}, files=read, known=KnownFiles(1)
    )
    return list(of_extract.step_notices(manifest))


def later(*files: FileAccount) -> list[Notice]:
    """Return the notices of transform and load about files, in their order."""
    step = step_of(LOADED, files)
    return [
        *of_transform.step_notices(step.manifest, "processed"),
        *of_load.step_notices(step, TARGET, "processed"),
    ]


def subjects(notices: Sequence[Notice]) -> list[str]:
    return [subject for subject, _ in notices]


def test_each_of_the_five_steps_of_a_file_is_a_mail() -> None:
    """As it happens: received, checked, refused rows written, loaded, done with."""
    zips = file("day/zips.csv", 1_234, refused=34)

    assert dict([*received(zips), *later(zips)]) == {
        "1 of 5: received day/zips.csv": (
            "s3://shop-drop/day/zips.csv, 10 bytes, came at 2026-11-22 06:30:05 UTC.\n"
            "Batch 3 has 1,234 rows of it."
        ),
        "2 of 5: checked day/zips.csv": (
            "day/zips.csv: 1,234 rows read, 1,200 accepted, 34 refused"
        ),
        "3 of 5: wrote what is refused of day/zips.csv": (
            "day/zips.csv: the refused rows and why: s3://processed/errors/orders/day/zips.csv"
        ),
        "4 of 5: loaded day/zips.csv": (
            "Batch 3, of 1 file:\n"
            "thing                          1,190 inserted           7 updated           3 refused"
        ),
        "5 of 5: done with day/zips.csv": (
            "One file was read from shop-drop at 2026-11-22 06:30:05 UTC.\n"
            "Batch 3 was complete 41 seconds later.\n"
            "\n"
            "day/zips.csv: 1,234 rows read, 1,200 accepted, 34 refused\n"
            "    The refused rows and why: s3://processed/errors/orders/day/zips.csv"
        ),
    }


def test_files_that_came_together_have_mails_of_their_own() -> None:
    """Whoever dropped one need not look for it among those of others."""
    files = [file("a.csv", 5), file("b.csv", 5)]

    assert subjects([*received(*files), *later(*files)]) == [
        *(f"1 of 5: received {name}" for name in ("a.csv", "b.csv")),
        *(
            f"{step} {name}"
            for name in ("a.csv", "b.csv")
            for step in ("2 of 5: checked", "3 of 5: wrote what is refused of")
        ),
        *(
            f"{step} {name}"
            for name in ("a.csv", "b.csv")
            for step in ("4 of 5: loaded", "5 of 5: done with")
        ),
    ]


def test_a_file_that_is_refused_whole_has_its_five_steps_too() -> None:
    """With the reason as soon as it is known, and without a word of loading."""
    bad = file("zips.csv", 0, reason="its header has no column State")
    _, checked, written, loaded, done = [
        *received(bad, error="its header has no column State"),
        *later(bad),
    ]

    assert received(bad, error="it is empty")[0][1].splitlines()[1:] == [
        "It cannot be used: it is empty",
        "Batch 3 has 0 rows of it.",
    ]
    assert checked[1] == (
        "zips.csv: refused, nothing of it will be loaded: its header has no column State"
    )
    assert written[1] == "zips.csv: no row is refused, so there is nothing to write."
    assert loaded[0] == "4 of 5: loaded nothing of zips.csv"
    assert done[1].splitlines()[-1] == (
        "zips.csv: refused, nothing of it was loaded: its header has no column State"
    )


def test_files_too_many_for_a_mail_each_share_theirs() -> None:
    """A hundred files are a hundred mails a step, a thousand are one."""
    files = [file(f"{number}.csv", 5) for number in range(101)]

    assert subjects([*received(*files), *later(*files)]) == [
        "1 of 5: received 101 files",
        "2 of 5: checked 101 files",
        "3 of 5: wrote what is refused of 101 files",
        "4 of 5: loaded 101 files",
        "5 of 5: done with 101 files",
    ]
    assert len(received(*files[1:])) == 100


def test_every_file_has_a_mail_with_its_numbers() -> None:
    """Read, accepted and refused, also where nothing is refused."""
    files = [file("a.csv", 5), file("b.csv", 1_234, refused=34), file("c.csv", 1, reason="no")]
    found = list(of_load.file_notices(step_of(LOADED, files), TARGET, "processed"))

    assert [(subject, text.splitlines()[3]) for subject, text in found] == [
        ("a.csv is in the warehouse", "a.csv: 5 rows read, 5 accepted, 0 refused"),
        (
            "b.csv is in the warehouse, without 34 rows that were refused",
            "b.csv: 1,234 rows read, 1,200 accepted, 34 refused",
        ),
        (
            "c.csv was refused, and nothing was loaded",
            "c.csv: refused, nothing of it was loaded: no",
        ),
    ]


def test_the_newest_version_in_a_batch_has_the_refused_rows() -> None:
    """Those of an older one are not written: it is superseded already."""
    newer = file("a.csv", 5, refused=2)
    older = replace(newer, refused=1, errors=None)

    texts = [text for subject, text in later(older, newer) if subject.startswith("3 of 5")]
    assert texts == [
        "a.csv: nothing, as a newer version of it is in this batch.",
        "a.csv: the refused rows and why: s3://processed/errors/orders/a.csv",
    ]


@pytest.mark.parametrize("key", ["https://evil.example/a.csv", "a\r\nb.csv"])
def test_no_name_of_a_file_is_a_link_or_a_line(key: str) -> None:
    """Whoever may drop files chooses their names."""
    version = FileVersion("drop", key, "v1", "etag", 10, AT)
    account = FileAccount("thing", version, 5, 4, 1, f"errors/thing/{key}", None)

    for subject, text in [*received(account), *later(account)]:
        assert "https://evil.example" not in subject + text
        assert "\r" not in subject + text
        assert "\nb.csv" not in subject + text
