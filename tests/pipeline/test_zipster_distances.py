"""The view of distances, against distances computed apart: by vectors, and not by a haversine."""

from collections.abc import Callable
from dataclasses import dataclass
from math import atan2, cos, dist, hypot, pi, radians, sin
from random import Random
from typing import Any

import pytest

from etl import mysqlddl
from etl.loading import folder
from local.mysql import run_sql
from pipelines.zipster.pipeline import PIPELINE
from tests.documentation import run_by
from tests.postgres_fixtures import Warehouse

RADIUS = 6371.0088  # km, the mean radius of the earth by the IUGG
MILE = 1.609344  # km
MILLIMETRE = 1e-6  # km

Place = tuple[float, float]  # longitude, latitude
Distances = dict[tuple[str, str], tuple[float, float]]

PLACES: dict[str, Place] = {
    "00601": (-66.72, 18.16),
    "00602": (-66.73, 18.16),
    "10001": (-73.99, 40.75),
    "90210": (-118.41, 34.09),
    "96799": (-170.70, -14.31),
    "99501": (-149.88, 61.21),
    # The same place, the poles, both sides of the date line, and opposite places, or almost so.
    "00000": (0.0, 0.0),
    "00001": (0.0, 0.0),
    "00002": (0.0, 0.01),
    "00003": (180.0, 0.0),
    "00004": (-180.0, 0.0),
    "00005": (179.99, 0.0),
    "00006": (-179.99, 0.0),
    "00007": (0.0, 90.0),
    "00008": (123.45, 90.0),
    "00009": (0.0, -90.0),
    "00010": (113.28, -18.16),
    "00011": (113.28, -18.15),
    "00012": (113.29, -18.16),
}


def apart(one: Place, other: Place) -> float:
    """Return the distance of two places in km: the angle between their vectors."""

    def vector(place: Place) -> tuple[float, float, float]:
        x, y = map(radians, place)
        return cos(y) * cos(x), cos(y) * sin(x), sin(y)

    a, b = vector(one), vector(other)
    # Exact at any angle: W. Kahan, "How Futile are Mindless Assessments of Roundoff", section 12.
    return 2 * RADIUS * atan2(dist(a, b), hypot(*(p + q for p, q in zip(a, b, strict=True))))


@dataclass
class Zipcodes:
    """A table of zip codes with the view of distances."""

    url: str

    def store(self, places: dict[str, Place]) -> None:
        rows = ", ".join(
            f"('{code}', ST_GeomFromText('POINT({x:.2f} {y:.2f})'))"
            for code, (x, y) in places.items()
        )
        run_sql(self.url, f"INSERT INTO ZIPCODES (ZIPCODE, COORDS) VALUES {rows}")

    def ask(self, *statements: str) -> list[Any]:
        return run_sql(self.url, *statements)

    def distances(self) -> Distances:
        """Return all distances, in miles and in km."""
        found = self.ask("SELECT FROM_ZIPCODE, ZIPCODE, MILES, KILOMETRES FROM ZIPCODE_DISTANCES")
        return {(one, other): (miles, km) for one, other, miles, km in found}


@pytest.fixture
def zipcodes(new_mysql_warehouse: Callable[..., Warehouse]) -> Zipcodes:
    """An empty table in its own database."""
    warehouse, home = new_mysql_warehouse(), folder("zipster")
    [target] = PIPELINE.targets
    [table] = mysqlddl.mysql(target, warehouse.schema, home).values()
    [view] = target.views
    run_sql(warehouse.superuser_url, table, f"CREATE VIEW {view.name} AS {view.query(home)}")
    return Zipcodes(warehouse.superuser_url)


def far_off(found: Distances, places: dict[str, Place]) -> list[tuple[str, str]]:
    """Return the pairs whose distance is not that computed apart, to a millimetre."""
    return [
        (a, b)
        for (a, b), (miles, km) in found.items()
        if abs(km - apart(places[a], places[b])) > MILLIMETRE or abs(miles * MILE - km) > MILLIMETRE
    ]


def test_distances_are_right_to_a_millimetre(zipcodes: Zipcodes) -> None:
    """Between places that are the same, opposite, at a pole, or across the date line, too."""
    zipcodes.store(PLACES)
    found = zipcodes.distances()

    assert len(found) == len(PLACES) * (len(PLACES) - 1)
    assert far_off(found, PLACES) == []
    known = {
        ("00000", "00001"): 0.0,
        ("00003", "00004"): 0.0,
        ("00007", "00008"): 0.0,
        ("00005", "00006"): RADIUS * radians(0.02),
        ("00000", "00002"): RADIUS * radians(0.01),
        ("00000", "00003"): pi * RADIUS,
        ("00007", "00009"): pi * RADIUS,
        ("00601", "00010"): pi * RADIUS,
        ("00601", "00011"): RADIUS * (pi - radians(0.01)),
    }
    assert {pair: found[pair][1] for pair in known} == pytest.approx(known, abs=MILLIMETRE)


def test_distances_between_places_anywhere_are_right(zipcodes: Zipcodes) -> None:
    """They are the same both ways, and none is more than half way around the earth."""
    random = Random(1)
    places = {
        f"{number:05}": (round(random.uniform(-180, 180), 2), round(random.uniform(-90, 90), 2))
        for number in range(60)
    }
    zipcodes.store(places)
    found = zipcodes.distances()

    assert far_off(found, places) == []
    back = {(b, a): km for (a, b), (_, km) in found.items()}
    assert {pair: km for pair, (_, km) in found.items()} == pytest.approx(back, abs=MILLIMETRE)
    assert max(km for _, km in found.values()) <= pi * RADIUS + MILLIMETRE


def test_what_is_within_some_miles_is_found_by_one_pass_over_the_table(zipcodes: Zipcodes) -> None:
    """The nearest first, without the zip code itself; no other pair is computed."""
    zipcodes.store(PLACES)
    sql = (
        "SELECT ZIPCODE FROM ZIPCODE_DISTANCES "
        "WHERE FROM_ZIPCODE = '00601' AND MILES <= 2000 ORDER BY MILES"
    )

    found = zipcodes.distances()
    by_distance = sorted(PLACES, key=lambda code: apart(PLACES["00601"], PLACES[code]))
    assert [code for (code,) in zipcodes.ask(sql)] == by_distance[1:3] == ["00602", "10001"]
    reads = zipcodes.ask(sql, "SHOW SESSION STATUS LIKE 'Handler_read%'")
    assert sum(int(times) for _, times in reads) < 3 * len(PLACES) < len(found)
    [documented] = run_by("test_what_is_within_some_miles_is_found_by_one_pass_over_the_table")
    near = zipcodes.ask(documented.text.replace("10001", "00601"))
    assert [code for code, *_ in near] == ["00602"]
