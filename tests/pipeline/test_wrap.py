"""A source that has used all 2^32 transaction ids and begun again: nothing is taken for shown."""

from collections.abc import Iterator

import pytest

from local.connection import connect
from tests.pipeline import ground
from tests.pipeline.departments import ADD, RENAME, Shop


@pytest.fixture(scope="module")
def wrapped_shop() -> Iterator[Shop]:
    """A shop whose server has begun its second round of ids, where old rows had theirs."""
    with ground.own_server() as server:
        shop = Shop(ground.shop_on(server, scale=0))
        add = ADD.replace("{0}", "number").format("", "Old")
        shop.sql(f"DO $$ BEGIN FOR number IN 1..200 LOOP {add}; COMMIT; END LOOP; END $$")
        [[first]] = shop.sql("SELECT min(xmin::text::int) FROM department")
        ground.wrap(server, ground.EPOCH + int(str(first)) + 50)
        yield shop


def test_rows_frozen_before_a_wrap_hide_no_open_transaction(wrapped_shop: Shop) -> None:
    """An id of an old row that an open transaction has now, even a nested one, is not yet shown."""
    shop = wrapped_shop
    with connect(shop.source.superuser_url) as late:
        late.run("BEGIN")
        late.run(RENAME.format(1, "Late"))
        late.run("SAVEPOINT nested")
        late.run(RENAME.format(2, "Nested"))
        late.run("RELEASE SAVEPOINT nested")
        shop.sql(RENAME.format(3, "Meanwhile"))
        during = shop.departments()
        ids = late.run("SELECT xmin FROM department WHERE department_id IN (1, 2)")
        frozen = "SELECT count(*) FROM department WHERE xmin::text::bigint = ANY(:ids)"
        with connect(shop.source.superuser_url) as other:
            assert other.run(frozen, ids=[int(xid) for [xid] in ids]) == [[2]]
        late.run("COMMIT")

    assert during is not None
    assert (during[1], during[2], during[3]) == ("Old", "Old", "Meanwhile")
    after = shop.departments()
    assert after is not None
    assert (after[1], after[2]) == ("Late", "Nested")
    assert shop.departments() is None


def test_after_a_wrap_a_quiet_source_writes_nothing(wrapped_shop: Shop) -> None:
    """A change comes once, perhaps with an old row of its id, also while a transaction is open."""
    shop = wrapped_shop
    shop.departments()
    shop.sql(RENAME.format(150, "Changed"))
    changed = shop.departments()
    assert changed is not None
    assert (changed[150], len(changed)) == ("Changed", 2)
    assert shop.departments() is None
    with connect(shop.source.superuser_url) as open_transaction:
        open_transaction.run("BEGIN")
        open_transaction.run("LOCK TABLE staff IN ROW EXCLUSIVE MODE")
        assert shop.departments() is None
