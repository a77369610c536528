"""Examine all that a deployment needs, before the first one and whenever something is odd.

Nothing is changed. Databases are looked at by the functions, from inside Lambda. Before the first
deployment they are looked at from this machine, which finds wrong addresses, passwords and rights,
but no firewall between Lambda and a database: a function for that would need a role, layers and
minutes, as the deployment does, which ends with the same check.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import get_args

from botocore.exceptions import ClientError

from deployer.aws import event_sources, sns
from deployer.aws.account import Account
from deployer.aws.changes import found
from deployer.aws.iam import own_policy
from deployer.configuration.settings import Settings
from deployer.encryption import check_key, check_proof_key
from deployer.errors import CredentialsError, DeployError, SettingsError
from deployer.existing_roles import check_roles
from deployer.networking import FunctionNetwork
from deployer.operations import account_checks
from deployer.operations.account_checks import clock, looking
from deployer.operations.findings import Finding, ok, to_do, unknown
from deployer.operations.selfcheck import ask_functions
from deployer.operations.status import not_ok
from deployer.resources import specs
from deployer.resources.deployer_policy import deployer_policy
from deployer.resources.names import LAKE_RULE, FunctionUse, Names, RuleUse
from deployer.resources.roles import whole_rights_of

ABSENT = "ResourceNotFoundException"
DEPLOY = "run `python deploy.py`"
# Before a sandbox expires, for a person to have a chance to see it.
TEARDOWN_HOURS = 24

Connect = Callable[[], Account]
LookFromHere = Callable[[Settings], Iterator[Finding]]


def examine(
    environment: Mapping[str, str], connect: Connect, look_from_here: LookFromHere, now: datetime
) -> Iterator[Finding]:
    """Yield all findings, in an order in which they can be acted on.

    `connect` returns the account, or raises DeployError; `look_from_here` looks at the databases.
    """
    settings, findings = _settings(environment)
    yield from findings
    account, findings = _account(connect, now)
    yield from findings
    if account is not None and settings is not None:
        names = Names.read(environment, account.id, account.region)
        yield from _before_deployment(account, names, settings)
        if _is_deployed(account, names):
            yield from _deployed(account, names, settings, now)
            return
        yield unknown("deployment", "there is none yet", DEPLOY)
    if settings is not None:
        yield from look_from_here(settings)


def _settings(environment: Mapping[str, str]) -> tuple[Settings | None, list[Finding]]:
    try:
        settings = Settings.read(environment)
    except SettingsError as error:
        return None, [to_do("settings", problem) for problem in error.problems]
    left_out = ", ".join(source.name for source in settings.left_out)
    less = f", without {left_out}" if left_out else ""
    return settings, [ok("settings", f"of pipeline {settings.pipeline}{less}")]


def _account(connect: Connect, now: datetime) -> tuple[Account | None, list[Finding]]:
    """Return the account, and findings about it and the clock, which may be why there is none."""
    try:
        account = connect()
    except DeployError as error:
        what = "credentials" if isinstance(error, CredentialsError) else "account"
        findings = [to_do(what, line) for line in str(error).splitlines()]
        if isinstance(refused := error.__cause__, ClientError):
            findings += clock(refused.response, now)
        return None, findings

    def check() -> Iterator[Finding]:
        yield from clock(account.clients.lambda_.get_account_settings(), now)

    return account, [_caller(account), *looking("clock", check)]


def _caller(account: Account) -> Finding:
    where = f"at {account.endpoint}" if account.endpoint else f"in {account.region}"
    who = account.caller.rpartition(":")[2]
    return ok("account", f"{account.id} {where}, as {who}")


def _before_deployment(account: Account, names: Names, settings: Settings) -> Iterator[Finding]:
    yield from account_checks.quotas(account, specs.functions(settings))
    rules = settings.organisation
    if settings.network is not None:
        yield from _required("network", FunctionNetwork(account, settings, names).check)
    if rules.kms_key is not None:
        yield from _required("key", partial(check_key, account, rules.kms_key, names))
    if rules.proof_key is not None:
        check = partial(check_proof_key, account, rules.proof_key, names)
        yield from _required("key of proofs", check)
    if names.existing_roles:
        yield from _required("roles of yours", partial(check_roles, account, names))
    policy = deployer_policy(names, settings.organisation)
    yield from account_checks.caller_rights(account, policy)


def _required(what: str, check: Callable[[], object]) -> Iterator[Finding]:
    """Yield why a deployment would be refused before anything is made."""
    try:
        check()
    except SettingsError as error:
        yield from (to_do(what, problem) for problem in error.problems)
    except DeployError as error:
        yield to_do(what, str(error))
    else:
        yield ok(what, "as the deployment needs it")


def _is_deployed(account: Account, names: Names) -> bool:
    client, name = account.clients.lambda_, names.function("extract")
    return found(lambda: client.get_function_configuration(FunctionName=name), ABSENT) is not None


def _deployed(
    account: Account, names: Names, settings: Settings, now: datetime
) -> Iterator[Finding]:
    uses = [spec.use for spec in specs.functions(settings)]
    yield from _roles(account, names, settings, uses)
    for use, findings in ask_functions(account, names, uses).items():
        yield from (each.of(use) for each in findings)
    rules: tuple[RuleUse, ...] = get_args(RuleUse)
    for rule in (each for each in rules if each != LAKE_RULE or settings.has_lake):
        yield from looking(f"schedule {rule}", partial(_schedule, account, names, rule))
    if settings.takes_events:
        yield from looking("events", partial(_event_source, account, names))
    yield from looking("e-mail", lambda: _mail(account, names, settings))
    yield from looking("alarms", lambda: _alarms(account, names))
    yield from _expiry(settings, now)


def _roles(
    account: Account, names: Names, settings: Settings, uses: Sequence[FunctionUse]
) -> Iterator[Finding]:
    """Yield whether the roles of functions may do what their policies say.

    Those of the user's may do what ours would be allowed.
    """
    if account.is_local:
        return  # the local AWS simulates no conditions; the functions find out what it enforces
    with ThreadPoolExecutor() as threads:
        for findings in threads.map(lambda use: list(_role(account, names, settings, use)), uses):
            yield from findings


def _role(
    account: Account, names: Names, settings: Settings, use: FunctionUse
) -> Iterator[Finding]:
    def check() -> Iterator[Finding]:
        is_theirs = use in names.existing_roles
        policy = (
            whole_rights_of(use, names, settings)
            if is_theirs
            else own_policy(account, names.role(use))
        )
        yield from account_checks.role_rights(account, use, names.role_arn(use), policy)

    yield from looking(f"role of {use}", check)


def _schedule(account: Account, names: Names, use: RuleUse) -> Iterator[Finding]:
    what, events = f"schedule {use}", account.clients.events
    rule = found(lambda: events.describe_rule(Name=names.rule(use)), ABSENT)
    if rule is None:
        yield to_do(what, "does not exist", DEPLOY)
    elif rule.get("State") != "ENABLED":
        yield to_do(what, "is switched off", f"{DEPLOY}, which switches it on")
    else:
        yield ok(what, f"is on: {rule.get('ScheduleExpression')}")


def _event_source(account: Account, names: Names) -> Iterator[Finding]:
    source = f"{names.events_queue}/{names.function('collect')}"
    is_on = event_sources.is_enabled(account, source)
    if is_on:
        yield ok("events", f"{names.events_queue} invokes collect")
    else:
        how = "is switched off" if is_on is False else "does not exist"
        yield to_do("events", f"the event source of collect {how}", DEPLOY)


def _mail(account: Account, names: Names, settings: Settings) -> Iterator[Finding]:
    if settings.alert_email is None:
        yield unknown("e-mail", "ALERT_EMAIL is not set, so that alarms reach nobody")
        return
    unconfirmed = sns.unconfirmed(account, names.topic_arn)
    for email in unconfirmed:
        step = f"open the link in the e-mail from AWS; after 2 days, {DEPLOY} to get another"
        yield to_do("e-mail", f"{email} is not confirmed and receives no alarms", step)
    if not unconfirmed:
        yield ok("e-mail", f"{settings.alert_email} receives the alarms")


def _alarms(account: Account, names: Names) -> Iterator[Finding]:
    ringing = [name for name, state in not_ok(account, names).items() if state == "ALARM"]
    for name in ringing:
        step = "`python deploy.py status` says why, docs/operations.md what to do"
        yield to_do(f"alarm {name.removeprefix(f'{names.prefix}-')}", "is in ALARM", step)
    if not ringing:
        yield ok("alarms", "none is in ALARM")


def _expiry(settings: Settings, now: datetime) -> Iterator[Finding]:
    if settings.expires_at is None:
        return
    hours = (settings.expires_at - now).total_seconds() / 3600
    if settings.logged and 0 < hours < TEARDOWN_HOURS:
        text = f"expires in {hours:.0f} hours, and leaves a slot that fills the disk of the source"
        yield to_do("sandbox", text, "run `python teardown.py` before")
    elif hours > 0:
        yield ok("sandbox", f"expires in {hours:.0f} hours")
    else:
        yield to_do("sandbox", "has expired", "set SANDBOX_EXPIRES_AT of the new one")
