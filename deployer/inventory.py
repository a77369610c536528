"""The resources of a deployment, found by name and by tag, and how each kind is removed.

By tag, because an earlier version may have used other names. Names are compared whole: one that
only begins like ours belongs to somebody else.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from deployer.aws import (
    apigateway,
    cloudwatch,
    event_sources,
    glue,
    iam,
    lambda_functions,
    lambda_layers,
    logs,
    s3,
    s3_notifications,
    schedules,
    secrets,
    sns,
    sqs,
)
from deployer.aws.account import Account
from deployer.configuration.apis import TOKENS_SECRET
from deployer.errors import ConflictError
from deployer.resources import specs
from deployer.resources.alarm_specs import alarms, possible_alarms
from deployer.resources.names import LAKE_RULE, BucketUse, FunctionUse, Names, RuleUse

# Removes a resource by name and returns whether it existed; a planning account removes nothing.
Remover = Callable[[Account, str], bool]


@dataclass(frozen=True)
class ResourceId:
    """What identifies a resource of the account: `name` is unique among those of its kind."""

    kind: str
    name: str


def named(names: Names, secret_parts: Iterable[str]) -> Iterator[ResourceId]:
    """Yield the resources that every deployment has, with the secrets of these parts."""
    for rule in get_args(RuleUse):
        if rule != LAKE_RULE:
            yield ResourceId("rule", names.rule(rule))
    yield ResourceId("notification", f"{names.bucket('ingestion')}/{names.function('transform')}")
    yield ResourceId("notification", f"{names.bucket('processed')}/{names.function('page')}")
    for spec in specs.FUNCTIONS:
        yield from _of_function(names, spec.use)
    for layer in specs.LAYERS:
        yield ResourceId("layer", names.layer(layer))
    for alarm in alarms(names):
        yield ResourceId("alarm", alarm.name)
    yield ResourceId("dashboard", names.dashboard)
    yield ResourceId("topic", names.topic)
    yield ResourceId("queue", names.queue)
    for part in secret_parts:
        yield ResourceId("secret", names.secret(part))
    for bucket in get_args(BucketUse):
        if bucket != "drop":
            yield ResourceId("bucket", names.bucket(bucket))


def occasional(names: Names) -> Iterator[ResourceId]:
    """Yield the resources that only some deployments have, by their sources, targets and APIs."""
    yield ResourceId("notification", f"{names.bucket('drop')}/{names.function('extract')}")
    for layer in (*specs.DATABASE_LAYERS, specs.OWN_LAYER, specs.LIGHT_LAYER, specs.LAKE_LAYER):
        yield ResourceId("layer", names.layer(layer))
    always = alarms(names)
    for alarm in possible_alarms(names):
        if alarm not in always:
            yield ResourceId("alarm", alarm.name)
    yield ResourceId("bucket", names.bucket("drop"))
    yield ResourceId("event source", f"{names.events_queue}/{names.function('collect')}")
    for spec in (*specs.OF_EVENTS, *specs.OF_REPORTS, *specs.OF_LAKE):
        yield from _of_function(names, spec.use)
    yield ResourceId("rule", names.rule(LAKE_RULE))
    yield ResourceId("database", names.lake_database)
    for api in (names.api, names.reports_api):
        yield ResourceId("api", api)
    for group in (names.access_log_group, names.reports_log_group):
        yield ResourceId("log group", group)
    for queue in (names.events_queue, names.dead_queue):
        yield ResourceId("queue", queue)
    yield from former_roles(names)
    yield ResourceId("secret", names.secret(TOKENS_SECRET))


def former_roles(names: Names) -> Iterator[ResourceId]:
    """Yield the roles that an earlier deployment had for functions that run as a user's now."""
    theirs = {names.role(use) for use in names.existing_roles}
    for use in names.existing_roles:
        if names.own_role(use) not in theirs:
            yield ResourceId("role", names.own_role(use))


def creates_roles(names: Names) -> bool:
    """Return whether a function that every deployment has runs as a role of the deployment."""
    return any(spec.use not in names.existing_roles for spec in specs.FUNCTIONS)


def _of_function(names: Names, use: FunctionUse) -> Iterator[ResourceId]:
    yield ResourceId("function", names.function(use))
    if use not in names.existing_roles:
        yield ResourceId("role", names.role(use))
    yield ResourceId("log group", names.log_group(use))


def tagged(account: Account, names: Names) -> Iterator[ResourceId]:
    """Yield all that has the tags of this deployment; AWS lists no layers and roles by tag.

    The listing is minutes old: what is in it may no longer exist.
    """
    tags = specs.own_tags(names.project, names.stage)
    filters: Any = [{"Key": key, "Values": [value]} for key, value in tags.items()]
    pages = account.clients.tagging.get_paginator("get_resources").paginate(TagFilters=filters)
    for page in pages:
        for mapping in page["ResourceTagMappingList"]:
            resource = parse_arn(mapping["ResourceARN"])
            if (name := _name_of(account, resource)) is not None:
                yield replace(resource, name=name)


def parse_arn(arn: str) -> ResourceId:
    """Return the resource of an ARN; its kind is `other` when no deployment creates such a one."""
    for kind, pattern in ARNS.items():
        if match := pattern.fullmatch(arn):
            return ResourceId(kind, match["name"])
    return ResourceId("other", arn)


def _name_of(account: Account, resource: ResourceId) -> str | None:
    """Return the name of a resource, whose ARN may have an id instead; None if it is gone."""
    asking = {"api": apigateway.name_of, "event source": event_sources.name_of}
    name_of = asking.get(resource.kind)
    return name_of(account, resource.name) if name_of else resource.name


def _remove_topic(account: Account, name: str) -> bool:
    return sns.remove_topic(
        account, f"arn:{account.partition}:sns:{account.region}:{account.id}:{name}"
    )


def _refuse(account: Account, arn: str) -> bool:
    raise ConflictError(
        f"{arn}: it has the tags of this deployment, but no deployment creates such a resource. "
        "Remove it, or its tags, yourself."
    )


REMOVERS: Mapping[str, Remover] = {
    "rule": schedules.remove_rule,
    "api": apigateway.remove_api,
    "event source": event_sources.remove_event_source,
    "notification": s3_notifications.remove_notification,
    "function": lambda_functions.remove_function,
    "role": iam.remove_role,
    "layer": lambda_layers.remove_layer,
    "alarm": cloudwatch.remove_alarm,
    "dashboard": cloudwatch.remove_dashboard,
    "topic": _remove_topic,
    "queue": sqs.remove_queue,
    "secret": secrets.remove_secret,
    "database": glue.remove_database,
    "bucket": s3.remove_bucket,
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
        ("role", r"iam::\d+:role/(.+/)?(?P<name>[^/]+)"),
        ("alarm", r"cloudwatch:[^:]+:\d+:alarm:(?P<name>.+)"),
        ("dashboard", r"cloudwatch::\d+:dashboard/(?P<name>.+)"),
        ("topic", r"sns:[^:]+:\d+:(?P<name>[^:]+)"),
        ("queue", r"sqs:[^:]+:\d+:(?P<name>[^:]+)"),
        # AWS appends six random characters.
        ("secret", r"secretsmanager:[^:]+:\d+:secret:(?P<name>.+)-.{6}"),
        ("database", r"glue:[^:]+:\d+:database/(?P<name>[^/]+)"),
        ("bucket", r"s3:::(?P<name>[^/]+)"),
        ("log group", r"logs:[^:]+:\d+:log-group:(?P<name>[^:]+)(:\*)?"),
    )
}
