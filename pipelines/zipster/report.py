"""The report of refused rows, in the form that its readers have known from an older system."""

from collections.abc import Iterator

from etl import RefusedRow

WORDS = {
    "Zipcode": "zipcode",
    "ZipCodeType": "zipcode_type",
    "City": "city",
    "State": "state",
    "LocationType": "location_type",
    "Lat": "latitude",
    "Long": "longitude",
    "Location": "location",
    "Decommisioned": "decommissioned",
}
"""What the columns of a file are called in the report, in the order of its lines."""


def lines(row: RefusedRow) -> Iterator[str]:
    """Yield the row, and a line for each value that is wrong; a value is quoted as it came.

    Row 7  = ['00601', 'STANDARD', 'Adjuntas', 'PR', 'PRIMARY', '18.16', '-66.72', …]
    'Adjuntas' is an invalid city
    """
    yield f"Row {row.number}  = {list(row.values)}"
    if not row.values:
        yield "Blank row skipped"
    elif row.wrong:
        for name, value in row.wrong.items():
            yield f"'{value}' is an invalid {WORDS[name]}"
    else:
        yield f"Row skipped: {row.reason}"
