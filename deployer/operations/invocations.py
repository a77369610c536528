"""Invocations of a function that are still running, as far as its log shows.

Lambda writes a START line when an invocation begins and a REPORT line when it has ended, both
some seconds late; so an empty answer is a good sign, and no proof.
"""

from deployer.aws.account import Account
from deployer.aws.reading import found

# In both lines, and in little else.
PATTERN = '"RequestId:"'


def running(account: Account, log_group: str, since: float) -> frozenset[str]:
    """Return the ids of running requests that began after `since`, in seconds of the epoch."""
    pages = account.clients.logs.get_paginator("filter_log_events").paginate(
        logGroupName=log_group, startTime=int(since * 1000), filterPattern=PATTERN
    )
    messages = found(
        lambda: [event.get("message", "") for page in pages for event in page["events"]],
        "ResourceNotFoundException",
    )
    started, ended = _request_ids(messages or [], "START"), _request_ids(messages or [], "REPORT")
    return started - ended


def _request_ids(messages: list[str], line: str) -> frozenset[str]:
    """Return the ids of lines such as `START RequestId: 8476... Version: $LATEST`."""
    words = (message.split() for message in messages)
    return frozenset(w[2] for w in words if w[:2] == [line, "RequestId:"] and len(w) > 2)
