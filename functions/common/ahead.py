"""Let a thread do the next piece of work while the last one is used."""

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
    """Yield an iterator whose items a thread reads up to `count` ahead.

    Raises what the iterator raises, after the items before it. The thread has ended when the block
    has, however it ends: a generator that is left half used would only end it when it is collected,
    in whichever thread that happens, and there wait for locks which that thread may hold.
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
