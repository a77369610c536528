"""Put an event into the queue, from which collect makes batches."""

from typing import TYPE_CHECKING

from botocore.config import Config

from functions.common.received import Received

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# Three attempts of 3 seconds at most: within the 10 seconds that GitHub waits for an answer.
CLIENT_CONFIG = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 3},
    tcp_keepalive=True,
)


def store(client: "SQSClient", queue: str, received: Received) -> str:
    """Store an event, and return the message id once the queue has confirmed it.

    Raises botocore's errors. The queue may have the event nevertheless: the provider sends it
    again, and load drops the duplicate by its id.
    """
    return client.send_message(QueueUrl=queue, MessageBody=received.message())["MessageId"]
