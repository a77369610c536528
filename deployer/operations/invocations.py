"""Invoke a function, and follow it by what it stores in a bucket, not by the connection.

A run may take 15 minutes; a NAT drops a silent connection after 350 seconds, and a laptop sleeps.
So functions are invoked asynchronously, with an id, and store under `runs/` that they are under
way, then their answer or their error: `functions/common/outcomes.py`.
"""

import json
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.exceptions import HTTPClientError

from deployer.aws import logs
from deployer.aws.account import Account
from deployer.errors import OperationError, explaining
from deployer.operations.selfcheck import require_working
from deployer.resources import specs
from deployer.resources.names import FunctionUse, Names

# Another run may take until its timeout.
BUSY_SECONDS = 960.0
# Lambda drops an event of a function that is running after 60 seconds: then it is sent again.
BEGIN_SECONDS = 75.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
# How often to ask the log whether a run has died, which stores nothing.
LOOK_SECONDS = 30.0
# How long AWS may be out of reach, as after a laptop's sleep.
OFFLINE_SECONDS = 600.0
NEWEST = 3  # runs of a function that may be under way: it runs once at a time
TIMESTAMP = "%Y%m%dT%H%M%SZ"  # in the id of a run, so that keys sort by time

Answer = dict[str, Any]


class Invocations:
    """Invokes the functions of a deployment and returns their answers."""

    def __init__(
        self,
        account: Account,
        names: Names,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
        *,
        watch: Callable[[FunctionUse], None] = lambda _: None,
    ) -> None:
        """`now` returns the seconds of the epoch; `watch` is called while a function works."""
        self._account = account
        self._names = names
        self._clock = clock
        self._sleep = sleep
        self._now = now
        self._watch = watch

    def invoke(self, use: FunctionUse, event: Answer) -> tuple[Answer, str | None]:
        """Return a function's answer, and its error if it failed.

        A run for the same event that is under way already, such as that of a command that was
        interrupted, is followed and not asked for again.

        Raises:
            OperationError: the function does not exist, does not start, or died.
        """
        began = self._clock()
        with explaining(f"function {self._names.function(use)}"):
            run = self._under_way(use, event) or self._ask(use, event)
            while (outcome := self._followed(use, run)) is None:
                require_working(self._account, self._names, [use])
                if self._clock() - began > BUSY_SECONDS:
                    raise OperationError(
                        f"{use}: it was asked several times within {BUSY_SECONDS / 60:.0f} "
                        "minutes and has not begun: does another run never end? Look at its log."
                    )
                run = self._ask(use, event)
        return outcome.get("answer", {}), outcome.get("error")

    def _under_way(self, use: FunctionUse, event: Answer) -> str | None:
        """Return the id of a run for this event that has not ended."""
        oldest = datetime.fromtimestamp(self._now() - BUSY_SECONDS, UTC)
        listed = self._account.clients.s3.list_objects_v2(
            Bucket=self._bucket(use),
            Prefix=_prefix(use),
            StartAfter=f"{_prefix(use)}{oldest:{TIMESTAMP}}",
        )
        newest = [each["Key"] for each in listed.get("Contents", [])][-NEWEST:]
        for key in newest:
            run = key.removeprefix(_prefix(use)).removesuffix(".json")
            outcome = self._read(use, run)
            is_running = outcome is not None and outcome["state"] == "running"
            if outcome and is_running and outcome["event"] == event and not self._end(use, outcome):
                return run
        return None

    def _ask(self, use: FunctionUse, event: Answer) -> str:
        """Invoke a function asynchronously; return the id of the run."""
        run = f"{datetime.fromtimestamp(self._now(), UTC):{TIMESTAMP}}-{secrets.token_hex(4)}"
        invoking, name = self._account.clients.invoking, self._names.function(use)
        payload = json.dumps({**event, "follow": run})
        try:
            # A connection that breaks may have done its work: the bucket will tell.
            with suppress(HTTPClientError):
                invoking.invoke(FunctionName=name, InvocationType="Event", Payload=payload)
        except invoking.exceptions.ResourceNotFoundException as error:
            raise OperationError(
                f"function {name} does not exist: deploy it first, with `python deploy.py`."
            ) from error
        return run

    def _followed(self, use: FunctionUse, run: str) -> Answer | None:
        """Return what became of a run, None if it has not begun in time.

        Raises:
            OperationError: it died.
        """
        began = looked = self._clock()
        pause = FIRST_PAUSE
        while True:
            outcome = self._read(use, run)
            if outcome is None and self._clock() - began > BEGIN_SECONDS:
                return None
            if outcome and outcome["state"] != "running":
                return outcome
            if outcome and self._clock() - looked > LOOK_SECONDS:
                looked = self._clock()
                # Its last act may have been to store its outcome.
                if (end := self._end(use, outcome)) and self._read(use, run) == outcome:
                    raise OperationError(
                        f"{use}: it was ended before it had finished: {end}. The log group "
                        f"{self._names.log_group(use)} shows how far it came."
                    )
            self._watch(use)
            self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _end(self, use: FunctionUse, outcome: Answer) -> str | None:
        """Return how a run ended that has stored nothing of its end, None if it has not."""
        group, began = self._names.log_group(use), outcome["started_at"]
        [spec] = [spec for spec in specs.FUNCTIONS if spec.use == use]
        end = logs.how_it_ended(self._account, group, outcome["request"], began - LOOK_SECONDS)
        if end is None and self._now() - began > spec.timeout + LOOK_SECONDS:
            return f"its {spec.timeout} seconds are over"
        return end

    def _read(self, use: FunctionUse, run: str) -> Answer | None:
        """Return what is stored of a run, None if there is nothing; wait while AWS is away."""
        s3, began = self._account.clients.s3, self._clock()
        while True:
            try:
                found = s3.get_object(Bucket=self._bucket(use), Key=f"{_prefix(use)}{run}.json")
                outcome: Answer = json.loads(found["Body"].read())
            except s3.exceptions.NoSuchKey:
                return None
            except (HTTPClientError, NoConnectionError):
                if self._clock() - began > OFFLINE_SECONDS:
                    raise
                self._sleep(LONGEST_PAUSE)
            else:
                return outcome

    def _bucket(self, use: FunctionUse) -> str:
        return self._names.bucket(specs.OUTCOME_BUCKETS[use])


def _prefix(use: FunctionUse) -> str:
    return f"runs/{use}/"
