"""The resources of a deployment, found by name and by tag, and how each kind is removed.

By tag, because an earlier version may have given a thing another name. Names are compared whole:
one that only begins like ours belongs to somebody else.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from deployer.aws import (
    alarms,
    apigateway,
    dashboards,
    event_sources,
    iam,
    lambda_functions,
    lambda_layers,
    logs,
    s3_notifications,
    s3_removal,
    secrets,
    sns,
    sqs,
)
from deployer.aws import schedules as events
from deployer.aws.account import Account
from deployer.configuration.report_settings import TOKENS_SECRET
from deployer.errors import ConflictError
from deployer.resources import specs
from deployer.resources.alarm_specs import alarms as all_alarms
from deployer.resources.event_alarms import all_alarms as alarms_of_events
from deployer.resources.names import BucketUse, FunctionUse, Names, RuleUse
from deployer.resources.report_alarms import all_alarms as alarms_of_reports

# Removes a thing by name and says whether it was there; a planning account removes nothing.
Remover = Callable[[Account, str], bool]


@dataclass(frozen=True)
class Thing:
    """A thing in the account; `name` is unique among those of its kind."""

    kind: str
    name: str


def named(names: Names, secrets_of: Iterable[str]) -> Iterator[Thing]:
    """Return the resources of every deployment of these names, with secrets for these parts."""
    for rule in get_args(RuleUse):
        yield Thing("rule", names.rule(rule))
    yield Thing("notification", f"{names.bucket('ingestion')}/{names.function('transform')}")
    yield Thing("notification", f"{names.bucket('processed')}/{names.function('page')}")
    for spec in specs.FUNCTIONS:
        yield from _of_function(names, spec.use)
    for layer in specs.LAYERS:
        yield Thing("layer", names.layer(layer))
    for alarm in all_alarms(names):
        yield Thing("alarm", alarm.name)
    yield Thing("dashboard", names.dashboard)
    yield Thing("topic", names.topic)
    yield Thing("queue", names.queue)
    for part in secrets_of:
        yield Thing("secret", names.secret(part))
    for bucket in get_args(BucketUse):
        if bucket != "drop":
            yield Thing("bucket", names.bucket(bucket))


def _of_function(names: Names, use: FunctionUse) -> Iterator[Thing]:
    yield Thing("function", names.function(use))
    yield Thing("role", names.role(use))
    yield Thing("log group", names.log_group(use))


def occasional(names: Names) -> Iterator[Thing]:
    """Return the resources of only some deployments: of files, events, databases, a pipeline."""
    yield Thing("notification", f"{names.bucket('drop')}/{names.function('extract')}")
    for layer in (*specs.DATABASE_LAYERS, specs.OWN_LAYER):
        yield Thing("layer", names.layer(layer))
    for alarm in all_alarms(names, of_files=True):
        if alarm not in all_alarms(names):
            yield Thing("alarm", alarm.name)
    yield Thing("bucket", names.bucket("drop"))
    yield Thing("api", names.api)
    yield Thing("event source", f"{names.events_queue}/{names.function('collect')}")
    for spec in specs.OF_EVENTS:
        yield from _of_function(names, spec.use)
    yield Thing("layer", names.layer(specs.LIGHT_LAYER))
    for alarm in alarms_of_events(names):
        yield Thing("alarm", alarm.name)
    yield Thing("queue", names.events_queue)
    yield Thing("queue", names.dead_queue)
    yield Thing("log group", names.access_log_group)
    yield Thing("api", names.reports_api)
    for spec in specs.OF_REPORTS:
        yield from _of_function(names, spec.use)
    for alarm in alarms_of_reports(names):
        yield Thing("alarm", alarm.name)
    yield Thing("log group", names.reports_log_group)
    yield Thing("secret", names.secret(TOKENS_SECRET))


def tagged(account: Account, names: Names) -> Iterator[Thing]:
    """Return all that carries the tags of this deployment; AWS lists no layers and roles by tag.

    The listing lags by minutes: a thing in it may be gone.
    """
    tags = specs.own_tags(names.project, names.stage)
    filters: Any = [{"Key": key, "Values": [value]} for key, value in tags.items()]
    pages = account.clients.tagging.get_paginator("get_resources").paginate(TagFilters=filters)
    for page in pages:
        for resource in page["ResourceTagMappingList"]:
            thing = parse_arn(resource["ResourceARN"])
            if (name := _name_of(account, thing)) is not None:
                yield replace(thing, name=name)


def _name_of(account: Account, thing: Thing) -> str | None:
    """Return the name of a thing, which not every ARN has; None if AWS knows it no more."""
    asking = {"api": apigateway.name_of, "event source": event_sources.name_of}
    return asking[thing.kind](account, thing.name) if thing.kind in asking else thing.name


def parse_arn(arn: str) -> Thing:
    """Return the thing that an ARN names; its kind is `other` when a deployment makes no such."""
    for kind, pattern in ARNS.items():
        if match := pattern.fullmatch(arn):
            return Thing(kind, match["name"])
    return Thing("other", arn)


def _remove_topic(account: Account, name: str) -> bool:
    return sns.remove_topic(
        account, f"arn:{account.partition}:sns:{account.region}:{account.id}:{name}"
    )


def _refuse(account: Account, arn: str) -> bool:
    raise ConflictError(
        f"{arn}: it carries the tags of this deployment, but no deployment makes such a thing. "
        "Remove it, or its tags, yourself."
    )


REMOVERS: Mapping[str, Remover] = {
    "rule": events.remove_rule,
    "api": apigateway.remove_api,
    "event source": event_sources.remove_event_source,
    "notification": s3_notifications.remove_notification,
    "function": lambda_functions.remove_function,
    "role": iam.remove_role,
    "layer": lambda_layers.remove_layer,
    "alarm": alarms.remove_alarm,
    "dashboard": dashboards.remove_dashboard,
    "topic": _remove_topic,
    "queue": sqs.remove_queue,
    "secret": secrets.remove_secret,
    "bucket": s3_removal.remove_bucket,
    "log group": logs.remove_log_group,
    "other": _refuse,
}
ARNS: Mapping[str, re.Pattern[str]] = {
    kind: re.compile(f"arn:[^:]+:{pattern}")
    for kind, pattern in (
        ("rule", r"events:[^:]+:\d+:rule/(?P<name>[^/]+)"),
        # The ARNs of these two have an id instead of the name.
        ("api", r"apigateway:[^:]+::/apis/(?P<name>[^/]+)(/stages/.+)?"),
        ("event source", r"lambda:[^:]+:\d+:event-source-mapping:(?P<name>[^:]+)"),
        ("function", r"lambda:[^:]+:\d+:function:(?P<name>[^:]+)"),
        ("role", r"iam::\d+:role/(?P<name>[^/]+)"),
        ("alarm", r"cloudwatch:[^:]+:\d+:alarm:(?P<name>.+)"),
        ("dashboard", r"cloudwatch::\d+:dashboard/(?P<name>.+)"),
        ("topic", r"sns:[^:]+:\d+:(?P<name>[^:]+)"),
        ("queue", r"sqs:[^:]+:\d+:(?P<name>[^:]+)"),
        # AWS appends six random characters.
        ("secret", r"secretsmanager:[^:]+:\d+:secret:(?P<name>.+)-.{6}"),
        ("bucket", r"s3:::(?P<name>[^/]+)"),
        ("log group", r"logs:[^:]+:\d+:log-group:(?P<name>[^:]+)(:\*)?"),
    )
}
