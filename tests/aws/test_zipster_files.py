"""Files of zip codes through extract and transform: what is refused, and what is accepted."""

import gzip
from collections.abc import Iterator
from random import Random

import pytest

from etl import Files
from functions.common.manifests import ProcessedManifest
from pipelines.zipster.pipeline import PIPELINE, zipcodes
from tests.aws.drop import Drop
from tests.aws.test_files_replay import again
from tests.aws.zipster_oracle import HEADER, Row, exact, expected, file_of

WHOLE = f"""\
{HEADER}
601,STANDARD,ADJUNTAS,PR,PRIMARY,18.1,-66.7,NA-US-PR-ADJUNTAS,FALSE
602,standard,Aguada,PR,PRIMARY,18.38,-67.,NA-US-PR-AGUADA,FALSE

"60
3",STANDARD,"AGUADILLA
",PR,PRIMARY,18,181.00,NA_US,
7A,MILITARY,O'FALLON,XX,primary,91.,-66.725,na,True
604,PO BOX,AGUADILLA,PR,PRIMARY,18.4,-67.1,NA-US-PR-AGUADILLA
605,PO BOX,AGUADILLA,PR,PRIMARY,18.4,-67.1,NA-US-PR-AGUADILLA,FALSE,more
   
99999,UNIQUE,THE END,DC,PRIMARY,-0.,180.,NA-US-DC-THE END,TRUE
"""  # noqa: W293
REPORT = """\
Row 3  = ['00602', 'standard', 'Aguada', 'PR', 'PRIMARY', '18.38', '-67.00', 'NA-US-PR-AGUADA', 'FALSE']
'standard' is an invalid zipcode_type
'Aguada' is an invalid city
Row 4  = []
Blank row skipped
Row 5  = ['60\\n3', 'STANDARD', 'AGUADILLA\\n', 'PR', 'PRIMARY', '18', '181.00', 'NA_US', '']
'60
3' is an invalid zipcode
'AGUADILLA
' is an invalid city
'18' is an invalid latitude
'181.00' is an invalid longitude
'NA_US' is an invalid location
'' is an invalid decommissioned
Row 6  = ['7A', 'MILITARY', "O'FALLON", 'XX', 'primary', '91.', '-66.725', 'na', 'True']
'7A' is an invalid zipcode
'MILITARY' is an invalid zipcode_type
'O'FALLON' is an invalid city
'XX' is an invalid state
'primary' is an invalid location_type
'91.' is an invalid latitude
'-66.725' is an invalid longitude
'na' is an invalid location
'True' is an invalid decommissioned
Row 7  = ['604', 'PO BOX', 'AGUADILLA', 'PR', 'PRIMARY', '18.4', '-67.1', 'NA-US-PR-AGUADILLA']
Row skipped: it has 8 values, and the header has 9
Row 8  = ['605', 'PO BOX', 'AGUADILLA', 'PR', 'PRIMARY', '18.4', '-67.1', 'NA-US-PR-AGUADILLA', 'FALSE', 'more']
Row skipped: it has 10 values, and the header has 9
Row 9  = ['   ']
Row skipped: it has 1 value, and the header has 9
"""  # noqa: E501


@pytest.fixture
def drop(moto_s3: object) -> Drop:
    [source] = PIPELINE.sources
    assert isinstance(source, Files)
    return Drop(source, pipeline=PIPELINE)


def processed(drop: Drop, key: str, body: str | bytes) -> ProcessedManifest:
    drop.put(key, body)
    drop.run()
    return drop.transform()


def report_of(drop: Drop, done: ProcessedManifest) -> str:
    [account] = done.files
    return drop.processed.bucket.get(account.errors).decode() if account.errors else ""


def stored(drop: Drop, done: ProcessedManifest) -> Iterator[Row]:
    """Yield the target rows as their exact texts."""
    for row in drop.target_rows(done, "ZIPCODES"):
        x, y = row["COORDS"][1:-1].split(",")
        assert (f"{row['LATITUDE']:.2f}", f"{row['LONGITUDE']:.2f}") == (y, x)
        yield (
            *(row[name] for name in ("ZIPCODE", "ZIPCODE_TYPE", "CITY", "STATE", "LOCATION_TYPE")),
            y, x, row["LOCATION"], str(row["DECOMISSIONED"]).upper(),
        )  # fmt: skip


def test_the_error_object_is_what_its_readers_know(drop: Drop) -> None:
    """To the letter: rows as Python lists, padded where valid, and a line for each wrong value."""
    done = processed(drop, "day 1/zips.csv", WHOLE)
    [account] = done.files
    assert account.errors == "errors/zipcodes/day 1/zips.err"
    assert report_of(drop, done) == REPORT
    assert (account.rows, account.out, account.refused, account.reason) == (9, 2, 7, None)


def test_accepted_rows_are_exact(drop: Drop) -> None:
    """Padded zip codes, decimals as they were written, longitude before latitude."""
    rows = drop.target_rows(processed(drop, "zips.csv", WHOLE), "ZIPCODES")
    assert rows == [
        {
            "ZIPCODE": "00601", "ZIPCODE_TYPE": "STANDARD", "CITY": "ADJUNTAS", "STATE": "PR",
            "LOCATION_TYPE": "PRIMARY", "LATITUDE": pytest.approx(18.1, abs=1e-6),
            "LONGITUDE": pytest.approx(-66.7, abs=1e-5), "LOCATION": "NA-US-PR-ADJUNTAS",
            "DECOMISSIONED": False, "COORDS": "(-66.70,18.10)",
        },
        {
            "ZIPCODE": "99999", "ZIPCODE_TYPE": "UNIQUE", "CITY": "THE END", "STATE": "DC",
            "LOCATION_TYPE": "PRIMARY", "LATITUDE": 0.0, "LONGITUDE": 180.0,
            "LOCATION": "NA-US-DC-THE END", "DECOMISSIONED": True, "COORDS": "(180.00,0.00)",
        },
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(6))
def test_any_file_comes_to_what_csv_reader_makes_of_it(drop: Drop, number: int) -> None:
    """Rows of all kinds with any line ending, compressed or with a byte order mark."""
    random = Random(number)
    text = file_of(random, 400)
    accepted, report = expected(text)
    body = random.choice([text.encode(), text.encode("utf-8-sig"), gzip.compress(text.encode())])

    done = processed(drop, "zips.csv", body)

    assert accepted
    assert report_of(drop, done) == report
    assert list(stored(drop, done)) == [exact(row) for row in accepted]


def test_a_file_of_nothing_but_wrong_rows_is_no_failure(drop: Drop) -> None:
    """There is no limit to what may be refused of this feed."""
    done = processed(drop, "zips.csv", f"{HEADER}\n" + "\n" * 20)
    [account] = done.files
    assert (account.out, account.refused, account.reason) == (0, 20, None)
    assert report_of(drop, done).count("Blank row skipped\n") == 20


def test_a_file_without_the_header_is_refused_whole(drop: Drop) -> None:
    """Its first row would be lost, and its values might be in another order."""
    done = processed(drop, "zips.csv", WHOLE.split("\n", 1)[1])
    assert report_of(drop, done) == (
        "The file cannot be used: its header has no column Zipcode, ZipCodeType, City, State, "
        "LocationType, Lat, Long, Location, Decommisioned\n"
    )


def test_columns_may_be_in_another_order(drop: Drop) -> None:
    """The row is shown as it came, and its wrong values in the order of the rules."""
    text = (
        "Decommisioned,Location,Long,Lat,LocationType,State,City,ZipCodeType,Zipcode\n"
        "no,NA,-66.7,18.1,PRIMARY,PR,ADJUNTAS,STANDARD,x\n"
    )
    assert report_of(drop, processed(drop, "zips.csv", text)) == (
        "Row 2  = ['no', 'NA', '-66.70', '18.10', 'PRIMARY', 'PR', 'ADJUNTAS', 'STANDARD', 'x']\n"
        "'x' is an invalid zipcode\n"
        "'no' is an invalid decommissioned\n"
    )


def test_a_replay_leaves_zip_codes_that_a_later_file_pads(drop: Drop) -> None:
    """A zip code is known by its five digits, however a file has it."""
    row = "STANDARD,ADJUNTAS,PR,PRIMARY,18.16,-66.72,NA-US-PR-ADJUNTAS,FALSE"
    drop.put("zips-1.csv", f"{HEADER}\n601,{row}\n602,{row}\n")
    drop.batch()
    drop.put("zips-2.csv", f"{HEADER}\n00601,{row}\n")
    drop.batch()

    replayed = again(drop, 1)

    assert [row[0] for row in drop.rows(replayed, zipcodes)] == ["602"]
