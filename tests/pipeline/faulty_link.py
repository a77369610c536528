"""A TCP proxy before a database that cuts connections, or lets them hang, after so many bytes."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

HOST = "127.0.0.1"
CHUNK = 16_384


class FaultyLink:
    """Passes bytes on to a port, undisturbed or not: `faulty` is the share of disturbed links.

    A link that suffers is cut, or hangs for a while, once a number of bytes has passed one way.
    """

    def __init__(self, port: int, seed: int | str, longest_hang: float = 2.0) -> None:
        self.port = 0
        self.faulty = 0.0
        self.faults: Counter[str] = Counter()
        self._upstream = port
        self._random = Random(seed)
        self._longest_hang = longest_hang

    @contextmanager
    def open(self) -> Iterator["FaultyLink"]:
        """Serve, in a thread, while the context lasts; `port` is the one to connect to."""
        loop = asyncio.new_event_loop()
        ready, over = threading.Event(), asyncio.Event()

        async def serve() -> None:
            server = await asyncio.start_server(self._accept, HOST, 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await over.wait()
            server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="link")
        thread.start()
        ready.wait()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join()
            loop.close()

    async def _accept(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        try:
            server, requests = await asyncio.open_connection(HOST, self._upstream)
        except OSError:
            answers.transport.abort()
            return
        down, up = self._fates()
        ways = [
            asyncio.create_task(self._pass_on(server, answers, *down)),
            asyncio.create_task(self._pass_on(client, requests, *up)),
        ]
        cut = True
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            cut = any(way.result() for way in done)
        finally:
            for way in ways:
                way.cancel()
            for writer in (answers, requests):
                if cut:
                    writer.transport.abort()
                else:
                    writer.close()

    def _fates(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Return what will happen on the way down and on the way up, and after how many bytes."""
        peace = ("", -1)
        if self._random.random() >= self.faulty:
            return peace, peace
        fate = (
            self._random.choice(["cut", "cut", "hang"]),
            int(10 ** self._random.uniform(0, 5.3)),
        )
        return (fate, peace) if self._random.random() < 0.6 else (peace, fate)

    async def _pass_on(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, fate: str, left: int
    ) -> bool:
        """Pass bytes on until they end, or are cut: then return True."""
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK):
                if fate and len(data) >= left:
                    target.write(data[:left])
                    await target.drain()
                    self.faults[f"database link: {fate}"] += 1
                    if fate == "cut":
                        return True
                    await asyncio.sleep(self._random.uniform(0.2, self._longest_hang))
                    data, fate = data[left:], ""
                left -= len(data)
                target.write(data)
                await target.drain()
        return False


class FaultyLinks:
    """The links to several servers, as if they were one."""

    def __init__(self, *links: FaultyLink) -> None:
        self._links = links

    @property
    def faulty(self) -> float:
        """The share of links that suffer."""
        return self._links[0].faulty

    @faulty.setter
    def faulty(self, share: float) -> None:
        for link in self._links:
            link.faulty = share

    @property
    def faults(self) -> Counter[str]:
        """The faults of the links, by kind."""
        return sum((link.faults for link in self._links), Counter[str]())
