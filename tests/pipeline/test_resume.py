"""A table that stopped goes on, and what was joined to it in the meantime is complete again."""

from typing import Any

import pytest

from functions.extract import handler as extract_handler
from local.connection import connect
from tests.pipeline.conftest import Context, Functions
from tests.pipeline.oracle import current, expected

RENAME = "UPDATE department SET department_name = 'Renamed' WHERE department_id = {}"
MOVE = "UPDATE staff SET department_id = {} WHERE staff_id = {}"
CLOSE = "REVOKE SELECT ON staff FROM source_reader"
COLUMNS = "staff_id, first_name, last_name, department_id, email_address"


def alter(functions: Functions, *statements: str) -> None:
    with connect(functions.source.superuser_url) as source:
        for statement in statements:
            source.run(statement)


def revoke(functions: Functions, *tables: str) -> None:
    alter(functions, *(f"REVOKE SELECT ON {table} FROM source_reader" for table in tables))


def grant(functions: Functions, *tables: str) -> None:
    alter(functions, *(f"GRANT SELECT ON {table} TO source_reader" for table in tables))


def departments_of(functions: Functions) -> tuple[int, int]:
    """Return the department of the first member of staff, and another one."""
    with connect(functions.source.superuser_url) as source:
        [[first, other]] = source.run(
            "SELECT s.department_id, min(d.department_id) FROM staff AS s JOIN department AS d"
            " ON d.department_id <> s.department_id WHERE staff_id = 1 GROUP BY 1"
        )
    return first, other


def quarantine(functions: Functions) -> dict[str, Any]:
    """Return the quarantine after the newest batch."""
    newest = functions.keys(functions.processed, "batches/source/")[-1]
    found: dict[str, Any] = functions.document(functions.processed, newest)["quarantine"]
    return found


def require_equal(functions: Functions) -> None:
    assert current(functions.warehouse) == expected(functions.source)
    assert quarantine(functions) == {}
    assert functions.run()["batch"] is None


@pytest.mark.parametrize(
    ("stop", "resume"),
    [
        (CLOSE, "GRANT SELECT ON staff TO source_reader"),
        (
            f"{CLOSE}; GRANT SELECT ({COLUMNS}) ON staff TO source_reader",
            "GRANT SELECT ON staff TO source_reader",
        ),
        (
            "ALTER TABLE staff ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE staff DISABLE ROW LEVEL SECURITY",
        ),
    ],
    ids=["table", "columns", "rows"],
)
def test_a_department_renamed_while_staff_are_closed_to_us_is_shown_once_they_are_open(
    functions: Functions, stop: str, resume: str
) -> None:
    """dim_staff shows the new name as soon as staff can be read, though none of them changed."""
    functions.run()
    first, _ = departments_of(functions)
    alter(functions, stop, RENAME.format(first))
    assert set(functions.run()["stopped"]) == {"staff"}
    alter(functions, resume)

    functions.run()

    require_equal(functions)


def test_staff_that_change_while_departments_are_closed_to_us_arrive_once_they_are_open(
    functions: Functions,
) -> None:
    """A new member of staff and their orders leave the quarantine with nobody touching them."""
    functions.run()
    _, other = departments_of(functions)
    revoke(functions, "department")
    alter(
        functions,
        MOVE.format(other, 1),
        f"INSERT INTO staff ({COLUMNS}, created_at, last_updated)"
        f" VALUES (99, 'New', 'One', {other}, 'new@example.com', now(), now())",
        "UPDATE sales_order SET staff_id = 99 WHERE sales_order_id = 1",
    )
    functions.run()
    assert {table: entry["rows"] for table, entry in quarantine(functions).items()} == {
        "staff": 2,
        "sales_order": 1,
    }
    grant(functions, "department")

    functions.run()

    require_equal(functions)


@pytest.mark.parametrize("first_back", ["staff", "department"])
def test_two_tables_that_are_joined_may_go_on_one_after_the_other(
    functions: Functions, first_back: str
) -> None:
    """Whichever is open first, both sides of the join are complete in the end."""
    functions.run()
    first, other = departments_of(functions)
    revoke(functions, "staff", "department")
    alter(functions, RENAME.format(other), MOVE.format(other, 1))
    functions.run()
    grant(functions, first_back)
    functions.run()
    alter(functions, RENAME.format(first))
    functions.run()
    grant(functions, "staff", "department")

    functions.run()

    require_equal(functions)


def test_a_stop_that_lasts_across_a_replay_hides_nothing(functions: Functions) -> None:
    """A batch that comes again in the meantime does not let a stopped table pass for read."""
    functions.run()
    first, _ = departments_of(functions)
    revoke(functions, "staff")
    alter(functions, RENAME.format(first))
    functions.run()
    extract_handler.handler({"replay": 1}, Context("extract"))
    functions.run()
    grant(functions, "staff")

    functions.run()

    require_equal(functions)


def test_a_table_may_stop_and_go_on_twice(functions: Functions) -> None:
    """The changes during each stop are there after it."""
    functions.run()
    first, other = departments_of(functions)
    for name, department in (("staff", first), ("staff", other)):
        revoke(functions, name)
        alter(functions, RENAME.format(department))
        functions.run()
        grant(functions, name)
        functions.run()
        assert current(functions.warehouse) == expected(functions.source)

    require_equal(functions)


def test_a_fact_that_stopped_is_not_read_whole(functions: Functions) -> None:
    """A table that joins no other continues from its position, so that a large one costs little."""
    functions.run()
    revoke(functions, "payment")
    alter(functions, "UPDATE payment SET payment_amount = 1.23 WHERE payment_id = 1")
    functions.run()
    grant(functions, "payment")

    assert functions.run()["rows"] == {"payment": 1}
    require_equal(functions)
