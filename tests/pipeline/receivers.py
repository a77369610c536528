"""The function receive in warm processes, each of which answers one request after the other."""

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from tests.pipeline.invocation import HANDLERS, Context, settle_in
from tests.pipeline.storm import FORKS, REAPING

PATIENCE_SECONDS = 60.0


def serve(requests: Connection, environment: dict[str, str], log: str) -> None:
    """Answer requests until there are no more."""
    settle_in(environment, log)
    while True:
        try:
            request = requests.recv()
        except EOFError:
            return
        requests.send(HANDLERS["receive"](request, Context()))


class Receiver:
    """A connection to a warm function; when that is killed, the next request starts another."""

    def __init__(self, environment: dict[str, str], log: str) -> None:
        self.kills = 0
        self._arguments = (environment, log)
        self._process: Any = None
        self._requests: Any = None

    def post(self, request: dict[str, Any], kill_after: float | None = None) -> int | None:
        """Return the status of the answer; None where the function is killed before it answers."""
        if self._process is None:
            self._start()
        self._requests.send(request)
        if self._requests.poll(PATIENCE_SECONDS if kill_after is None else kill_after):
            try:
                answer: dict[str, Any] = self._requests.recv()
            except EOFError:
                raise AssertionError("receive ended without an answer") from None
            return int(answer["statusCode"])
        assert kill_after is not None, f"receive did not answer within {PATIENCE_SECONDS:.0f} s"
        self.kills += 1
        self.stop()
        return None

    def _start(self) -> None:
        self._requests, theirs = FORKS.Pipe()
        self._process = FORKS.Process(target=serve, args=(theirs, *self._arguments), daemon=True)
        with REAPING:
            self._process.start()
        theirs.close()

    def stop(self) -> None:
        """Kill the function, whatever it is at."""
        if self._process is not None:
            self._process.kill()
            with REAPING:
                self._process.join()
                self._process.close()
            self._requests.close()
            self._process = None


@contextmanager
def receiver(environment: dict[str, str], log: str) -> Iterator[Receiver]:
    """Yield a function that is stopped at the end."""
    made = Receiver(environment, log)
    try:
        yield made
    finally:
        made.stop()
