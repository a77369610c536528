"""Read ahead in a thread: the next item is made while the last one is used."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Full, Queue
from threading import Event
from typing import TypeVar

Item = TypeVar("Item")

_END = object()
_AT_A_TIME = 0.1  # seconds until a thread looks whether it is still needed


@contextmanager
def ahead(items: Iterator[Item], count: int = 1) -> Iterator[Iterator[Item]]:
    """Yield an iterator over the same items, which a thread reads up to `count` ahead.

    Raises what the iterator raises, after the items before it. The thread ends with the block, also
    after an error. A generator could not ensure that: one that is not exhausted ends when it is
    garbage collected, in any thread, which may hold a lock that it waits for.
    """
    queue: Queue[object] = Queue(count)
    stopped = Event()

    def work() -> None:
        try:
            for item in items:
                _put(queue, item, stopped)
                if stopped.is_set():
                    return
        finally:
            _put(queue, _END, stopped)

    def taken() -> Iterator[Item]:
        while (item := queue.get()) is not _END:
            yield item  # type: ignore[misc]
        working.result()

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            yield taken()
        finally:
            stopped.set()


def _put(queue: "Queue[object]", item: object, stopped: Event) -> None:
    while not stopped.is_set():
        try:
            queue.put(item, timeout=_AT_A_TIME)
        except Full:
            continue
        return
