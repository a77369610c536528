"""The scan of a table: its digests, whether its keys differ from the known ones, and its keys."""

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from functions.sources.postgres.changes import SEEN_AT_MOST, are_few
from functions.sources.postgres.keysets import DIGESTS
from functions.sources.postgres.keysql import hashed, key_sql, text_sql
from functions.sources.postgres.surveys import Survey, _with, survey
from tests.unit.test_keysets import key_set


def digests(*buckets: int) -> pa.RecordBatch:
    rows = {"bucket": list(buckets), "rows": [1] * len(buckets), "sum": [7] * len(buckets)}
    found = pa.table(rows, schema=DIGESTS).append_column("changed", [[2] * len(buckets)])
    [batch] = found.to_batches()
    return batch


NONE = Survey(DIGESTS.empty_table(), 0)


@pytest.mark.parametrize(("at_most", "is_partial"), [(3, False), (2, True)])
def test_a_table_with_too_many_digests_is_surveyed_in_part(
    at_most: int, *, is_partial: bool
) -> None:
    """Its changed rows are counted all the same, and no digest comes back later."""
    found = _with(_with(NONE, digests(1, 2), at_most), digests(3), at_most)

    assert (found.is_partial, found.changed) == (is_partial, 6)
    assert len(found.digests) == (0 if is_partial else 3)
    if is_partial:
        assert _with(found, digests(4), at_most).is_partial


def test_a_table_differs_from_the_keys_that_it_had() -> None:
    """One that had none differs as soon as it has some."""
    known = key_set({1, 2})

    assert not Survey(known.digests, 0).differs_from(known)
    assert Survey(known.digests, 0).differs_from(key_set({1}))
    assert Survey(known.digests, 0).differs_from(None)
    assert not NONE.differs_from(None)
    assert Survey(DIGESTS.empty_table(), 0, is_partial=True).differs_from(None)


def test_a_key_is_a_number_or_its_text() -> None:
    """A single integer is compared as it is, and as text where texts are wanted."""
    integer, text = {"a": pa.int32()}, {"a": pa.string()}

    assert (key_sql(integer), text_sql(integer)) == ('"a"', '"a"::text COLLATE "C"')
    of_text = 'CASE WHEN "a" IS NOT NULL THEN concat("a") COLLATE "C" END'
    assert (key_sql(text), text_sql(text)) == (of_text, of_text)
    assert "SELECT k AS key, changed FROM t OFFSET 0" in hashed("k", "t", "changed")


def test_transactions_are_few_up_to_what_a_function_can_hold() -> None:
    """Ranges count from their first to their last."""
    assert are_few([(10**9, 10**9 + SEEN_AT_MOST - 1)])
    assert not are_few([(10**9, 10**9 + SEEN_AT_MOST)])


def test_keys_that_are_not_scanned_are_those_that_are_known() -> None:
    """Of a table that is left, and of one whose changed rows are read; one may have none yet."""
    known = key_set({1, 2})
    scans = {"left": "nothing", "read": "changes", "new": "changes"}
    plans: Any = [SimpleNamespace(id=name, scan=scan, lookup=None) for name, scan in scans.items()]
    not_asked: Any = None

    found = survey(not_asked, plans, {"left": known, "read": known})

    assert found == {
        "left": Survey(known.digests, 0),
        "read": Survey(known.digests, None),
        "new": Survey(DIGESTS.empty_table(), None),
    }
