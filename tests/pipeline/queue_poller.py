"""The event source mapping of a queue: hands messages to collect, and removes what that stored."""

from collections.abc import Iterator
from random import Random
from typing import Any

from tests.pipeline.invocation import Fate, Outcome
from tests.pipeline.storm import Storm, random_fate

AT_ONCE = 10  # messages that SQS takes or gives in one call


class QueuePoller:
    """Processes the messages of a queue, in a storm or undisturbed."""

    def __init__(self, sqs: Any, queue: str, storm: Storm, random: Random, most: int) -> None:
        self._sqs, self._queue, self._storm, self._random = sqs, queue, storm, random
        self._most = most

    def poll(self, *, violence: float, again: float = 0) -> int:
        """Hand over the messages that there are; return how many.

        Of those that are processed the share `again` stays, to come a second time.
        """
        records = [_record(each) for each in self._received()]
        if records:
            is_fated = self._random.random() < violence
            fate = random_fate(self._random, self._storm.places) if is_fated else Fate()
            outcome = self._storm.invoke("collect", {"Records": records}, fate)
            if outcome and outcome.result is not None:
                self._remove(records, outcome, again)
        return len(records)

    def _received(self) -> Iterator[dict[str, Any]]:
        found = 0
        while found < self._most:
            answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=AT_ONCE)
            if not (messages := answer.get("Messages")):
                return
            found += len(messages)
            yield from messages

    def _remove(self, records: list[dict[str, Any]], outcome: Outcome, again: float) -> None:
        kept = {each["itemIdentifier"] for each in (outcome.result or {})["batchItemFailures"]}
        done = [
            {"Id": str(number), "ReceiptHandle": record["receiptHandle"]}
            for number, record in enumerate(records)
            if record["messageId"] not in kept and self._random.random() >= again
        ]
        for start in range(0, len(done), AT_ONCE):
            self._sqs.delete_message_batch(
                QueueUrl=self._queue, Entries=done[start : start + AT_ONCE]
            )

    def left(self) -> int:
        """Return how many messages the queue has, seen or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)


def _record(message: dict[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "eventSourceARN": "arn:aws:sqs:eu-west-2:000000000000:storm-events",
    }
