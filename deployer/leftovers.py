"""What an earlier deployment needed, and neither this one nor a rollback does."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from deployer.aws import apigateway, cloudwatch, lambda_layers, schedules, secrets
from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.configuration.settings import Settings
from deployer.errors import explaining
from deployer.records import Record
from deployer.resources import specs
from deployer.resources.alarm_specs import alarms, schedules_with_lake
from deployer.resources.endpoint_alarms import report_api_alarms, report_function_alarms
from deployer.resources.names import LAKE_RULE, Names


def old_layers(
    account: Account, names: Names, layers: Iterable[str], records: Sequence[Record]
) -> Iterator[Change]:
    """Remove the versions of some layers that none of the records names; yield what is removed."""
    used = {arn for record in records for arn in record.layers}
    for name in map(names.layer, layers):
        with explaining(f"layer {name}"):
            yield from lambda_layers.remove_old_versions(account, name, used)


def old_secrets(
    account: Account, names: Names, settings: Settings, records: Sequence[Record]
) -> list[Change]:
    """Remove the secrets that are no longer declared or set, and that no record names."""
    wanted = {names.secret(name) for name in settings.secrets}
    wanted |= {secret for record in records for secret in record.secrets}
    tags = specs.own_tags(settings.project, settings.stage)
    with explaining("old secrets"):
        return secrets.remove_other_secrets(account, names.secret(""), wanted, tags)


def old_lake(account: Account, names: Names) -> Iterator[Change]:
    """Remove the schedule and the alarms of Iceberg tables that are no longer kept.

    Function and tables stay, as they are, until the teardown.
    """
    rule = names.rule(LAKE_RULE)
    with explaining(f"rule {rule}"):
        if not schedules.remove_rule(replace(account, planning=True), rule):
            return
        theirs = {*alarms(names, schedules_with_lake())} - {*alarms(names)}
        for name in sorted(alarm.name for alarm in theirs):
            if cloudwatch.remove_alarm(account, name):
                yield Change("alarm", name, "removed")
        # Last: a removal that breaks off is repeated while the rule exists.
        if schedules.remove_rule(account, rule):
            yield Change("rule", rule, "removed")


def old_reports(account: Account, names: Names, records: Sequence[Record]) -> Iterator[Change]:
    """Remove the API of reports that are no longer served, and the alarms; the function stays.

    Without a record that has it nothing is asked: not everybody may use API Gateway.
    """
    if not any(names.function("serve") in record.functions for record in records):
        return
    with explaining(f"api {names.reports_api}"):
        if (api := apigateway.id_of(account, names.reports_api)) is None:
            return
        theirs = (*report_api_alarms(names, api), *report_function_alarms(names))
        for name in sorted(alarm.name for alarm in theirs):
            if cloudwatch.remove_alarm(account, name):
                yield Change("alarm", name, "removed")
        # Last: a removal that breaks off is repeated while the API exists.
        if apigateway.remove_api(account, names.reports_api):
            yield Change("api", names.reports_api, "removed")
