"""zipster: zip codes of the United States, dropped as CSV, checked, and kept in MySQL.

What is valid, and how to ask for distances, is in `docs/zipster.md`.
"""

from decimal import Decimal
from typing import TYPE_CHECKING

from etl import (
    Boolean,
    Csv,
    ErrorReport,
    Feed,
    Files,
    MysqlWarehouse,
    Pipeline,
    Point,
    Real,
    Table,
    Text,
    View,
    latest,
)
from pipelines.zipster import rules
from pipelines.zipster.report import lines

if TYPE_CHECKING:
    from pandas import DataFrame

zipcodes = Table("zipcodes", key="Zipcode", columns={
    "Zipcode": Text(check=rules.is_zipcode, normalize=rules.padded_zipcode),
    "ZipCodeType": Text(check=rules.ZIPCODE_TYPES.__contains__),
    "City": Text(check=rules.is_city),
    "State": Text(check=rules.STATES.__contains__),
    "LocationType": Text(check=rules.LOCATION_TYPES.__contains__),
    "Lat": Text(check=rules.is_latitude, normalize=rules.padded_coordinate),
    "Long": Text(check=rules.is_longitude, normalize=rules.padded_coordinate),
    "Location": Text(check=rules.is_location),
    "Decommisioned": Text(check=rules.DECOMMISSIONED.__contains__),
})  # fmt: skip

# An empty value is wrong, and no NULL.
FEED = Feed(
    zipcodes, "**/*.csv", Csv(nulls=()), max_rejects=1.0, report=ErrorReport(".err", lines)
)  # fmt: skip


FLOAT = "float[pyarrow]"  # of 32 bits


@latest(key="ZIPCODE", name="ZIPCODES", columns={
    "ZIPCODE": Text(), "ZIPCODE_TYPE": Text(), "CITY": Text(), "STATE": Text(),
    "LOCATION_TYPE": Text(), "LATITUDE": Real(), "LONGITUDE": Real(), "LOCATION": Text(),
    "DECOMISSIONED": Boolean(), "COORDS": Point(),
})  # fmt: skip
def stored(zipcodes: "DataFrame") -> "DataFrame":
    """Zip codes as the table has them; COORDS has the exact decimals, which FLOAT has not."""
    from pandas import DataFrame, Series

    # Adding 0 makes 0 of -0, and 40.50 of 040.50.
    x, y = ([Decimal(value) + 0 for value in zipcodes[name]] for name in ("Long", "Lat"))
    return DataFrame({
        "ZIPCODE": zipcodes["Zipcode"], "ZIPCODE_TYPE": zipcodes["ZipCodeType"],
        "CITY": zipcodes["City"], "STATE": zipcodes["State"],
        "LOCATION_TYPE": zipcodes["LocationType"],
        "LATITUDE": Series(map(float, y), dtype=FLOAT),
        "LONGITUDE": Series(map(float, x), dtype=FLOAT),
        "LOCATION": zipcodes["Location"],
        "DECOMISSIONED": zipcodes["Decommisioned"] == "TRUE",
        "COORDS": [f"({longitude},{latitude})" for longitude, latitude in zip(x, y, strict=True)],
    })  # fmt: skip


PIPELINE = Pipeline(
    sources=[Files("zips", (FEED,))],
    targets=[
        MysqlWarehouse(
            "warehouse", (stored,), ddl="warehouse.sql",
            views=(View("ZIPCODE_DISTANCES", "distances.sql"),),
        )
    ],
    notify="every-file",
)  # fmt: skip
