"""What `deploy.py doctor` finds: each line, and each way in which it is not OK."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import pipelines
from deployer.aws.account import Account
from deployer.configuration.settings import Settings
from deployer.errors import AwsError, CredentialsError, SettingsError
from deployer.operations.doctor import examine
from deployer.operations.findings import Finding, ok, to_do
from deployer.operations.output import findings_lines
from deployer.resources.names import Names
from tests.aws.conftest import HTTP_OK
from tests.aws.sandbox import Sandbox

FOLDER = Path(__file__).parent.parent / "pipelines"
NOW = datetime(2025, 1, 30, 12, tzinfo=UTC)
ENVIRONMENT = {
    "SOURCE_DATABASE_URL": "postgresql://reader:Tr0ub4dor%263@db.example.com/totesys",
    "WAREHOUSE_DATABASE_URL": "postgresql://loader:Tr0ub4dor%263@db.example.com/warehouse",
    "ALERT_EMAIL": "team@example.com",
    "SANDBOX_EXPIRES_AT": "2025-01-31T18:00:00+00:00",
}
WELL = {"checks": [{"what": "secret one", "ok": True, "detail": "can be read", "next": ""}]}


class Examined:
    """An account to examine, with what moto does not know: limits, simulations, functions."""

    def __init__(self, sandbox: Sandbox, limits: dict[str, Any]) -> None:
        caller = "arn:aws:sts::123456789012:assumed-role/deployer/ann"
        self.sandbox = sandbox
        self.account = replace(sandbox.account, caller=caller)
        self.limits = limits
        self.denied: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, Any] = {}
        self.environment = dict(ENVIRONMENT)
        limits |= {
            "AccountLimit": {
                "ConcurrentExecutions": 1000,
                "UnreservedConcurrentExecutions": 995,
                "TotalCodeSize": 80_000_000_000,
            },
            "AccountUsage": {"TotalCodeSize": 50_000_000},
            "ResponseMetadata": {"HTTPHeaders": {"date": format_datetime(NOW)}},
        }
        clients = self.account.clients
        events = clients.iam.meta.events
        events.register("before-call.iam.SimulatePrincipalPolicy", self._simulate)
        clients.invoking.meta.events.register("before-call.lambda.Invoke", self._invoke)

    @property
    def names(self) -> Names:
        return Names.read(self.environment, self.account.id, self.account.region)

    def _simulate(self, params: dict[str, Any], **_: object) -> Any:
        asked = [value for name, value in params["body"].items() if "ActionNames" in name]
        results = [
            {"EvalActionName": each, "EvalDecision": "allowed", **self.denied.get(each, {})}
            for each in asked
        ]
        return HTTP_OK, {"EvaluationResults": results, "IsTruncated": False}

    def _invoke(self, params: dict[str, Any], **_: object) -> Any:
        name = params["url_path"].split("/")[-2].removeprefix(f"{self.names.prefix}-")
        answer = self.answers.get(name, WELL)
        return HTTP_OK, {"Payload": io.BytesIO(json.dumps(answer).encode()), "StatusCode": 200}

    def findings(self, connect: Callable[[], Account] | None = None) -> list[Finding]:
        def from_here(settings: Settings) -> Iterator[Finding]:
            yield ok(f"databases of {settings.pipeline}", "looked at from this machine")

        return list(examine(self.environment, connect or (lambda: self.account), from_here, NOW))

    def wrong(self) -> dict[str, str]:
        """Return what is to be done, by what it is about."""
        return {each.what: each.text for each in self.findings() if each.state == "to do"}

    def unknown(self) -> dict[str, str]:
        return {each.what: each.text for each in self.findings() if each.state == "unknown"}


@pytest.fixture
def examined(sandbox: Sandbox, limits: dict[str, Any]) -> Examined:
    return Examined(sandbox, limits)


@pytest.fixture
def deployed(examined: Examined) -> Examined:
    """A deployment that is well: its e-mail is confirmed."""
    examined.sandbox.start_deployed()
    return examined


def test_before_the_first_deployment_databases_are_looked_at_from_here(examined: Examined) -> None:
    """Account, clock, quotas and rights are examined, and that nothing is deployed is said."""
    found = examined.findings()

    assert [(each.what, each.state) for each in found] == [
        ("settings", "ok"),
        ("account", "ok"),
        ("clock", "ok"),
        ("quota of runs", "ok"),
        ("quota of code", "ok"),
        ("quota of roles", "ok"),
        ("rights", "ok"),
        ("deployment", "unknown"),
        ("databases of totesys", "ok"),
    ]
    assert set(examined.sandbox.writes) == {"SimulatePrincipalPolicy"}


def test_a_deployment_that_is_well_has_nothing_to_do(deployed: Examined) -> None:
    """Roles, each function, schedules, e-mail, alarms and the sandbox's end; nothing is written."""
    deployed.sandbox.writes.clear()
    found = deployed.findings()

    assert {each.what: each.text for each in found if each.state != "ok"} == {}
    whats = [each.what for each in found]
    assert whats[7:9] == ["role of extract", "role of transform"]
    assert "load: secret one" in whats
    assert whats[-8:] == [
        "schedule extract-schedule",
        "schedule transform-sweep",
        "schedule load-schedule",
        "schedule reconcile-schedule",
        "schedule page-sweep",
        "e-mail",
        "alarms",
        "sandbox",
    ]
    assert set(deployed.sandbox.writes) <= {"Invoke", "SimulatePrincipalPolicy"}


def test_settings_are_all_named_and_the_account_is_still_examined(examined: Examined) -> None:
    """A line for each mistake, in the words of the deployment."""
    examined.environment |= {"SOURCE_DATABASE_URL": "", "EXTRACT_SCHEDULE": "often"}
    found = examined.findings()

    problems = [each.text for each in found if each.what == "settings"]
    assert [line.split()[0] for line in problems] == ["SOURCE_DATABASE_URL", "EXTRACT_SCHEDULE"]
    assert [each.what for each in found if each.state == "ok"] == ["account", "clock"]


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (CredentialsError("AWS account: no credentials. Set AWS_PROFILE."), "credentials"),
        (SettingsError(["AWS_REGION is not set"]), "account"),
        (AwsError("AWS account: no route"), "account"),
    ],
)
def test_without_an_account_the_rest_is_examined(
    examined: Examined, error: Exception, what: str
) -> None:
    """That there are no credentials is said, and the databases are looked at nevertheless."""

    def connect() -> Account:
        raise error

    found = examined.findings(connect)

    assert [(each.what, each.state) for each in found] == [
        ("settings", "ok"),
        (what, "to do"),
        ("databases of totesys", "ok"),
    ]
    assert found[1].detail == str(error)


def test_a_wrong_clock_is_named_also_where_aws_refuses_the_call(examined: Examined) -> None:
    """The answer has AWS's time, even the one that says that the signature has expired."""
    ahead = {"HTTPHeaders": {"date": format_datetime(NOW - timedelta(seconds=400))}}
    examined.limits["ResponseMetadata"] = ahead
    said = {
        "clock": "400 s ahead of that of AWS: set this machine's clock: AWS refuses a call after 5 "
        "minutes"
    }
    assert examined.wrong() == said

    def connect() -> Account:
        answer: Any = {"Error": {"Code": "SignatureDoesNotMatch"}, "ResponseMetadata": ahead}
        raise AwsError("refused") from ClientError(answer, "GetCallerIdentity")

    found = {each.what: each.text for each in examined.findings(connect) if each.state == "to do"}
    assert found == {"account": "refused", **said}


def test_quotas_that_are_too_small_are_to_be_raised(examined: Examined) -> None:
    """Of runs, of stored code and of roles; few runs are enough, but none is reserved."""
    limit = examined.limits["AccountLimit"]
    limit |= {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}
    few = {each.what: each.text for each in examined.findings()}["quota of runs"]
    assert few == "10 at once, too few to reserve any for a function: locks alone keep them apart"

    limit |= {"ConcurrentExecutions": 2, "TotalCodeSize": 60_000_000}
    summary: Any = lambda **_: (HTTP_OK, {"SummaryMap": {"Roles": 998, "RolesQuota": 1000}})  # noqa: E731
    iam = examined.account.clients.iam
    iam.meta.events.register("before-call.iam.GetAccountSummary", summary)
    assert {what: text.split(":")[0] for what, text in examined.wrong().items()} == {
        "quota of runs": "2 at once, for 5 functions",
        "quota of code": "50 of 60 MB are used",
        "quota of roles": "998 of 1,000 are used",
    }


def test_what_a_deployment_would_refuse_is_known_before(examined: Examined) -> None:
    """A network, a key and a role of the user's that are not there, each with its setting."""
    region, account = examined.account.region, examined.account.id
    examined.environment |= {
        "SUBNET_IDS": "subnet-0123456789abcdef0",
        "SECURITY_GROUP_IDS": "sg-0123456789abcdef0",
        "KMS_KEY": f"arn:aws:kms:{region}:{account}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "PROOF_KEY": f"arn:aws:kms:{region}:{account}:key/5678abcd-12ab-34cd-56ef-1234567890ab",
        "LOAD_ROLE_ARN": f"arn:aws:iam::{account}:role/teams/data/load",
    }

    wrong = examined.wrong()

    assert set(wrong) == {"network", "key", "key of proofs", "roles of yours"}
    assert "5678abcd-12ab-34cd-56ef-1234567890ab" in wrong["key of proofs"]
    assert "not found in this account and region (eu-west-2)" in wrong["network"]
    assert "1234abcd-12ab-34cd-56ef-1234567890ab" in wrong["key"]
    assert wrong["roles of yours"].startswith("LOAD_ROLE_ARN: there is no role ")


def test_denied_actions_are_named_with_who_denies_them(examined: Examined) -> None:
    """At most six of a reason, and where the policy to ask for is printed."""
    organisation = {"OrganizationsDecisionDetail": {"AllowedByOrganizations": False}}
    examined.denied = {
        "s3:CreateBucket": {"EvalDecision": "explicitDeny", **organisation},
        "lambda:CreateFunction": {"EvalDecision": "implicitDeny"},
        "iam:PassRole": {"EvalDecision": "implicitDeny"},
    }

    assert examined.wrong() == {
        "rights": "denied: s3:CreateBucket (a policy of the organisation); iam:PassRole, "
        "lambda:CreateFunction (no policy allows it): `python deploy.py policy` prints the policy "
        "to ask for"
    }


def test_what_may_not_be_looked_at_is_not_known(examined: Examined) -> None:
    """A locked-down account: no right to simulate or to read limits is not a fault."""

    def refuse(model: Any, **_: object) -> None:
        error: Any = {"Error": {"Code": "AccessDenied", "Message": "no"}}
        raise ClientError(error, model.name)

    clients = examined.account.clients
    for operation in ("SimulatePrincipalPolicy", "GetAccountSummary"):
        clients.iam.meta.events.register_first(f"before-call.iam.{operation}", refuse)
    clients.lambda_.meta.events.register_first("before-call.lambda.GetAccountSettings", refuse)

    assert examined.wrong() == {}
    assert examined.unknown() == {
        "clock": "not known: GetAccountSettings is not allowed",
        "quota of runs": "not known: GetAccountSettings is not allowed",
        "quota of roles": "not known: GetAccountSummary is not allowed",
        "rights": "not known: SimulatePrincipalPolicy is not allowed",
        "deployment": "there is none yet: run `python deploy.py`",
    }


def test_what_is_wrong_with_a_deployment_is_named(deployed: Examined) -> None:
    """A boundary on roles, a function without its database, schedules, alarms, the sandbox."""
    names, clients = deployed.names, deployed.account.clients
    boundary = {"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False}}
    deployed.denied = {"sqs:SendMessage": {"EvalDecision": "implicitDeny", **boundary}}
    broken = {"what": "target", "ok": False, "detail": "no right", "next": "ask for it"}
    deployed.answers = {"load": {"checks": [broken]}, "page": {"batch": None}}
    clients.events.disable_rule(Name=names.rule("extract-schedule"))
    clients.events.remove_targets(Rule=names.rule("load-schedule"), Ids=["function"])
    clients.events.delete_rule(Name=names.rule("load-schedule"))
    clients.cloudwatch.set_alarm_state(
        AlarmName=names.alarm("load-errors"), StateValue="ALARM", StateReason="a test"
    )
    deployed.environment["SANDBOX_EXPIRES_AT"] = "2025-01-30T11:00:00+00:00"

    assert deployed.wrong() == {
        "role of transform": "denied: sqs:SendMessage (the permissions boundary): ask whoever "
        "keeps these policies",
        "load: target": "no right: ask for it",
        "page: start": "is of an earlier version, and did not look: run `python deploy.py` again",
        "schedule extract-schedule": "is switched off: run `python deploy.py`, which switches it "
        "on",
        "schedule load-schedule": "does not exist: run `python deploy.py`",
        "alarm load-errors": "is in ALARM: `python deploy.py status` says why, docs/operations.md "
        "what to do",
        "sandbox": "has expired: set SANDBOX_EXPIRES_AT of the new one",
    }


def test_events_that_nobody_collects_are_noticed(
    examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue has to invoke collect: an event source that is off, or gone, is to be repaired."""
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])
    examined.environment |= {"PIPELINE": "till", "TILL_WEBHOOK_SECRET": "whsec_one"}
    examined.sandbox.settings = Settings.read(examined.environment)
    examined.sandbox.deploy()
    assert "events" not in examined.wrong()
    client = examined.account.clients.lambda_
    [mapping] = client.list_event_source_mappings()["EventSourceMappings"]

    client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    assert examined.wrong()["events"] == (
        "the event source of collect is switched off: run `python deploy.py`"
    )
    client.delete_event_source_mapping(UUID=mapping["UUID"])
    assert examined.wrong()["events"] == (
        "the event source of collect does not exist: run `python deploy.py`"
    )


def test_an_address_that_is_not_confirmed_is_to_be_confirmed(
    deployed: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an address nobody is notified, which is for the reader to decide."""
    monkeypatch.setattr("deployer.operations.doctor.sns.unconfirmed", lambda *_: ["a@example.com"])
    assert deployed.wrong()["e-mail"].startswith("a@example.com is not confirmed")

    deployed.environment["ALERT_EMAIL"] = ""
    assert deployed.unknown() == {"e-mail": "ALERT_EMAIL is not set, so that alarms reach nobody"}


def test_lines_have_eighty_columns_and_no_escapes() -> None:
    """Whatever a database or AWS is called, a line fits, and nothing moves the cursor."""
    long = to_do("x" * 100, "y\x1b[2J" * 20, "do this")
    [shown] = findings_lines([long])

    lines = shown.plain.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("TO DO  xxx")
    assert "\x1b" not in shown.plain
