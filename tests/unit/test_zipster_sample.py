"""The zip codes that a demonstration drops are valid, and those of its later drop are not all."""

from datetime import datetime

import etl.testing
from pipelines.zipster.pipeline import FEED, PIPELINE
from pipelines.zipster.sample import FILES, bad_files, files
from tests.aws.zipster_oracle import HEADER, expected

NOW = datetime(2026, 11, 22, 12)
SAMPLE = files("zips", NOW)


def test_each_file_has_the_header_of_real_ones() -> None:
    """And a name that the pipeline reads."""
    dropped = {**SAMPLE, **bad_files("zips", NOW)}
    assert all(FEED.fits(key) for key in dropped)
    assert {body.decode().splitlines()[0] for body in dropped.values()} == {HEADER}


def test_nothing_of_the_first_drop_is_refused() -> None:
    """Some ten thousand zip codes, none of them twice, from all over the country."""
    found = {key: expected(body.decode()) for key, body in SAMPLE.items()}
    assert {key: report for key, (_, report) in found.items()} == dict.fromkeys(FILES, "")
    rows = [row for accepted, _ in found.values() for row in accepted]
    codes = [row[0] for row in rows]
    assert 9_000 < len(codes) == len(set(codes)) < 11_000
    assert "00600" in codes
    assert len({row[3] for row in rows}) == 14


def test_the_later_drop_has_rows_of_each_kind() -> None:
    """A new zip code and a changed one; wrong values, a blank row, and a row that is too short."""
    [(accepted, report)] = [expected(body.decode()) for body in bad_files("zips", NOW).values()]
    assert [row[0] for row in accepted] == ["07440", "00600"]
    assert report.count("Row ") == 4 + 1  # and "Row skipped"
    assert report.count("is an invalid") == 2 + 4
    assert "Blank row skipped" in report


def test_the_same_files_come_each_time() -> None:
    """Whoever reports a number can have it checked by somebody else."""
    assert files("zips", datetime(2030, 1, 1)) == SAMPLE


def test_a_row_is_tried_in_a_unit_test() -> None:
    """As the engine has it: padded, checked, exact in COORDS."""
    row = dict(zip(HEADER.split(","), expected_row("601", "-66.7"), strict=True))
    made = etl.testing.made(PIPELINE, "ZIPCODES", zipcodes=[row, {**row, "Lat": "91."}])
    assert [each["COORDS"] for each in made.rows] == ["(-66.70,18.16)"]
    assert made.refused == {"00601": "Lat is not valid: '91.'"}


def expected_row(code: str, longitude: str) -> list[str]:
    rest = ["NA-US-PR-ADJUNTAS", "FALSE"]
    return [code, "STANDARD", "ADJUNTAS", "PR", "PRIMARY", "18.16", longitude, *rest]
