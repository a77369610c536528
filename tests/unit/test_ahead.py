"""A thread that works ahead of whoever uses what it yields."""

import threading
from collections.abc import Iterator
from itertools import count, islice

import pytest

from functions.common.ahead import ahead


def test_everything_comes_in_its_order() -> None:
    """Nothing is lost between the threads, and the end is the end."""
    with ahead(iter(range(1_000))) as items:
        assert list(items) == list(range(1_000))


def test_an_error_comes_after_the_items_before_it() -> None:
    """The items before the damage of a file arrive before its error."""

    def damaged() -> Iterator[int]:
        yield 1
        raise ValueError("damaged")

    with ahead(damaged()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="damaged"):
            next(items)


def test_no_thread_outlives_its_block() -> None:
    """A file that is refused half way ends its threads, also one that waits for another."""
    before = threading.active_count()

    with ahead(count()) as one, ahead(one) as other:
        assert list(islice(other, 3)) == [0, 1, 2]

    assert threading.active_count() == before
