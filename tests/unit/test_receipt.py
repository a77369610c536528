"""The receipt of a teardown, as it is printed."""

from deployer.receipt import Entry, Receipt

REMOVED = Entry("function", "totesys-etl-dev-load", "removed")
GONE = Entry("queue", "totesys-etl-dev-failed-events", "already gone")
KEPT = Entry("bucket", "totesys-etl-dev-123456789012-eu-west-2-code", "kept")
LAPSES = Entry("subscription", "team@example.com", "lapses", "it was never confirmed")
STAYS = Entry("role", "totesys-etl-dev-eu-west-2-load", "stays", "DeleteRole was refused")


def receipt(*entries: Entry) -> Receipt:
    return Receipt("123456789012", "eu-west-2", "totesys-etl", "dev", entries)


def test_a_receipt_names_each_thing_and_what_became_of_it() -> None:
    """One line for each thing, a reason under those that are not gone, and the sum at the end."""
    shown = receipt(REMOVED, GONE, KEPT, LAPSES)

    assert shown.is_complete
    assert shown.text() == (
        "removed      function      totesys-etl-dev-load\n"
        "already gone queue         totesys-etl-dev-failed-events\n"
        "kept         bucket        totesys-etl-dev-123456789012-eu-west-2-code\n"
        "lapses       subscription  team@example.com\n"
        "             it was never confirmed\n"
        "1 removed, 1 kept, nothing else left of totesys-etl-dev in account 123456789012, region "
        "eu-west-2."
    )


def test_a_receipt_says_what_stays_and_why() -> None:
    """A teardown is incomplete as long as one thing stays."""
    shown = receipt(REMOVED, STAYS)

    assert not shown.is_complete
    assert shown.text() == (
        "removed      function      totesys-etl-dev-load\n"
        "stays        role          totesys-etl-dev-eu-west-2-load\n"
        "             DeleteRole was refused\n"
        "1 removed, 1 left of totesys-etl-dev in account 123456789012, region "
        "eu-west-2. Fix the causes above, then run again."
    )


def test_an_empty_account_needs_one_line() -> None:
    """Where there was nothing, the receipt lists nothing."""
    assert receipt(GONE).text() == (
        "Nothing to remove: nothing is left of totesys-etl-dev in account 123456789012, region "
        "eu-west-2."
    )


def test_a_receipt_is_a_document() -> None:
    """As JSON it holds the same, and whether it is complete."""
    assert receipt(STAYS).document() == {
        "account": "123456789012",
        "region": "eu-west-2",
        "project": "totesys-etl",
        "stage": "dev",
        "entries": (
            {
                "kind": "role",
                "name": "totesys-etl-dev-eu-west-2-load",
                "outcome": "stays",
                "why": "DeleteRole was refused",
            },
        ),
        "complete": False,
    }
