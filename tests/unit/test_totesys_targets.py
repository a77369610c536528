"""Sales targets of totesys: documents that somebody else keeps, beside the shop's own database."""

import json
from datetime import datetime

import pytest

from pipelines.totesys.pipeline import PIPELINE, sales_target
from pipelines.totesys.sample import bad_files, files

[SOURCE] = PIPELINE.files
NOW = datetime(2026, 12, 31, 12)


def documents(body: bytes) -> list[dict[str, object]]:
    text = body.decode()
    found: list[dict[str, object]] = (
        json.loads(text)
        if text.startswith("[")
        else [json.loads(line) for line in text.split("\n") if line]
    )
    return found


@pytest.mark.parametrize(
    ("month", "is_month"),
    [
        ("2026-11", True),
        ("2026-13", False),
        ("2026-1", False),
        ("11/2026", False),
        ("2026-11-01", False),
    ],
)
def test_a_target_is_for_a_month(month: str, is_month: bool) -> None:
    """Whatever cannot be joined to a calendar is refused."""
    check = sales_target.columns["month"].check  # type: ignore[attr-defined]
    assert bool(check(month)) == is_month


def test_a_target_is_in_a_currency() -> None:
    """A currency has a code of ISO 4217."""
    check = sales_target.columns["currency"].check  # type: ignore[attr-defined]
    assert check("GBP")
    assert not check("Pounds")


def test_the_source_is_somebody_elses_bucket_and_may_be_left_out() -> None:
    """Without TARGETS_BUCKET the pipeline is what it was."""
    assert (SOURCE.remote, SOURCE.optional, SOURCE.bucket_setting) == (True, True, "TARGETS_BUCKET")
    assert [each.target.name for each in PIPELINE.mappings("targets")] == ["dim_sales_target"]
    assert all(each.target.optional for each in PIPELINE.mappings("targets"))


def test_the_sample_has_documents_of_both_forms_for_this_month_and_the_next() -> None:
    """A demonstration reads an array, and a document a line, over the end of a year."""
    sample = files("targets", NOW)

    assert all(SOURCE.feeds[0].fits(key) for key in sample)
    assert [body[:1] for body in sample.values()] == [b"[", b"{"]
    found = [document for body in sample.values() for document in documents(body)]
    assert {each["month"] for each in found} == {"2026-12", "2027-01"}
    assert all(list(each) == list(sales_target.columns) for each in found)
    assert len({(each["staff_id"], each["month"]) for each in found}) == len(found) == 40


def test_the_later_file_changes_a_target_and_has_one_that_is_refused() -> None:
    """It overwrites a file that was there, and few enough are wrong for the rest to go through."""
    [(key, body)] = bad_files("targets", NOW).items()
    before, after = documents(files("targets", NOW)[key]), documents(body)

    assert [each for each in after if each not in before] == [
        before[0] | {"target": "99999.99"},
        {"staff_id": 1, "month": "November", "target": "1.00", "currency": "pounds"},
    ]
    assert 1 / len(after) < 0.05
