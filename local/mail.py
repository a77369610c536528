"""The mails of a deployment on this machine: a queue gets what the topic would send by e-mail."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployer.aws.account import Account

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

QUEUE = "local-mailbox"


@dataclass(frozen=True)
class Mail:
    """What a subscriber of the topic reads."""

    subject: str
    text: str


class Mailbox:
    """A queue that is subscribed to the topic of alarms and notices."""

    def __init__(self, account: Account, topic_arn: str, *, is_open: bool) -> None:
        """Subscribe the queue, which is empty afterwards; one that is not open stays empty."""
        self._sqs = account.clients.sqs
        self._is_open = is_open
        if not is_open:
            return
        self._url = self._sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
        arn = f"arn:aws:sqs:{account.region}:{account.id}:{QUEUE}"
        allowed = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": policy})
        account.clients.sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn)
        self.read()

    def read(self) -> list[Mail]:
        """Return the mails that have come since the last look, in their order."""
        mails: list[Mail] = []
        while self._is_open and (messages := self._receive()):
            for message in messages:
                body = json.loads(message["Body"])
                mails.append(Mail(body.get("Subject", ""), body["Message"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return mails

    def _receive(self) -> "list[MessageTypeDef]":
        answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)
        return answer.get("Messages", [])
