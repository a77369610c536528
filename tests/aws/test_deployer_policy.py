"""The policy of whoever deploys: it allows every call that is made, and nothing else."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.model import OperationModel

import pipelines
from deployer.aws import event_sources
from deployer.aws.account import Account
from deployer.configuration.settings import Settings
from deployer.errors import AwsError
from deployer.operations.page import KEY, find_page
from deployer.operations.status import read_status
from deployer.resources.deployer_policy import INLINE_CHARACTERS, deployer_policy
from deployer.resources.names import Names
from deployer.resources.resource_policies import Policy, policy_of
from deployer.rollback import Rollback
from tests.aws.asked import BOUNDARY, TAGS_OF_FUNCTIONS, Asked, allowing, asked_by, record
from tests.aws.private_network import private_network
from tests.aws.removing import teardown
from tests.aws.sandbox import Sandbox, pending

FOLDER = Path(__file__).parent.parent / "pipelines"
WAREHOUSE = "postgresql://loader:{}@db.example.com/warehouse"
PIPELINES = {
    "totesys": {
        "SOURCE_DATABASE_URL": "postgresql://reader:one@db.example.com/totesys",
        "ALERT_EMAIL": "team@example.com",
        "REPORTS_TOKEN": "x" * 32,
    },
    "till": {"TILL_WEBHOOK_SECRET": "whsec_old whsec_new"},
    "market": {
        "PERMISSIONS_BOUNDARY": BOUNDARY,
        "ROLE_PATH": "/teams/data/",
        "TAGS": "cost-center=42",
        "LAKE": "iceberg",
    },
}
# AWS asks for these where no call names them: see the comment beside them.
UNSEEN = "AccessLogs"
TAKEN_AWAY = (
    "apigateway:POST",
    "iam:PassRole",
    "lambda:CreateFunction",
    "lambda:GetLayerVersion",
    "s3:ListBucket",
    "s3:PutBucketPolicy",
)


def settings_of(pipeline: str, **changed: str) -> Settings:
    given = {"PIPELINE": pipeline, "WAREHOUSE_DATABASE_URL": WAREHOUSE.format("one")}
    return Settings.read({**given, **PIPELINES[pipeline], **changed})


def names_of(sandbox: Sandbox) -> Names:
    return Names.of(sandbox.settings, sandbox.account.id, sandbox.account.region)


@pytest.fixture
def any_pipeline(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox for the pipelines of the tests as well; no teardown waits for late writes."""
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])
    monkeypatch.setattr("deployer.resources.specs.requirements", lambda _: Path(__file__))
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 0)
    return sandbox


def change_by_hand(account: Account, names: Names) -> None:
    """Change what others may change in an account: the next deployment puts it right."""
    clients, role = account.clients, names.role("load")
    trust = clients.iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    trust = json.dumps(trust).replace("lambda.amazonaws.com", "ec2.amazonaws.com")
    clients.iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust)
    clients.iam.untag_role(RoleName=role, TagKeys=["stage"])
    clients.iam.put_role_permissions_boundary(
        RoleName=role, PermissionsBoundary="arn:aws:iam::123456789012:policy/another"
    )
    policy = clients.iam.create_policy(
        PolicyName=f"{names.prefix}-another",
        PolicyDocument=json.dumps(policy_of({"Effect": "Deny", "Action": "*", "Resource": "*"})),
    )
    clients.iam.attach_role_policy(RoleName=role, PolicyArn=policy["Policy"]["Arn"])
    clients.sns.set_topic_attributes(
        TopicArn=names.topic_arn, AttributeName="DisplayName", AttributeValue="another"
    )
    url = clients.sqs.get_queue_url(QueueName=names.queue)["QueueUrl"]
    clients.sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "60"})
    clients.secrets.delete_secret(SecretId=names.secret("warehouse"), RecoveryWindowInDays=7)
    for api in clients.apigateway.get_apis()["Items"]:
        [route] = clients.apigateway.get_routes(ApiId=api["ApiId"])["Items"]
        clients.apigateway.update_route(
            ApiId=api["ApiId"], RouteId=route["RouteId"], Target="integrations/another"
        )
    function, statement = names.function("transform"), "rule-transform-sweep"
    clients.lambda_.remove_permission(FunctionName=function, StatementId=statement)
    clients.lambda_.add_permission(
        FunctionName=function,
        StatementId=statement,
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=names.rule_arn("extract-schedule"),
    )
    for database in clients.glue.get_databases()["DatabaseList"]:
        clients.glue.untag_resource(ResourceArn=names.lake_database_arn, TagsToRemove=["stage"])
        clients.glue.create_table(DatabaseName=database["Name"], TableInput={"Name": "one"})
    for source in clients.lambda_.list_event_source_mappings()["EventSourceMappings"]:
        clients.lambda_.update_event_source_mapping(UUID=source["UUID"], BatchSize=1)


def look_at(account: Account, names: Names) -> None:
    """Use what is deployed, as the commands do that moto has no functions for."""
    account.clients.s3.put_object(Bucket=names.bucket("processed"), Key=KEY, Body=b"")
    find_page(account, names)
    read_status(account, names, [], datetime.now(UTC))
    account.clients.iam.get_account_summary()
    for source in account.clients.lambda_.list_event_source_mappings()["EventSourceMappings"]:
        event_sources.name_of(account, source["UUID"])


def a_life(sandbox: Sandbox, others: Account, pipeline: str) -> None:
    """Deploy a pipeline, change it, put it right, roll back, look at it, and remove it."""
    names = names_of(sandbox)
    sandbox.deploy()
    change_by_hand(others, names)
    sandbox.packages.code["load"] = f"CHANGED = {pipeline!r}\n"
    sandbox.packages.locks["arrow"] = f"changed for {pipeline}"
    sandbox.settings = settings_of(
        pipeline,
        ALERT_EMAIL="",
        LOAD_SCHEDULE="rate(5 minutes)",
        WAREHOUSE_DATABASE_URL=WAREHOUSE.format("two"),
    )
    sandbox.deploy()
    Rollback(sandbox.account, names, lambda _: None).roll_back()
    look_at(sandbox.account, names)
    teardown(sandbox).remove()


def test_every_call_is_allowed_once_and_every_action_is_needed(
    any_pipeline: Sandbox, new_account: Callable[[str], Account]
) -> None:
    """Of deployments of all kinds, their repair and removal; the policy fits into a role."""
    used: dict[str, set[str]] = {}
    for pipeline in PIPELINES:
        any_pipeline.settings = settings_of(pipeline)
        names = names_of(any_pipeline)
        asked = set(asked_by("lambda", "Invoke", {"FunctionName": names.function("extract")}))
        # moto does not simulate: doctor asks for what it is allowed.
        asked |= set(asked_by("iam", "SimulatePrincipalPolicy", {}))
        record(any_pipeline.account, asked)
        policy = deployer_policy(names, any_pipeline.settings.organisation)
        others = new_account("eu-west-2")
        if pipeline == "totesys":
            network = private_network(others, "s3", "secretsmanager").network
            any_pipeline.settings = replace(any_pipeline.settings, network=network)
        a_life(any_pipeline, others, pipeline)
        assert len(json.dumps(policy, separators=(",", ":"))) < INLINE_CHARACTERS
        allowed = {each: allowing(policy, each) for each in asked}
        assert {each: by for each, by in allowed.items() if len(by) != 1} == {}
        for each, [sid] in allowed.items():
            used.setdefault(sid, set()).add(each.action)
    unused = {
        (statement["Sid"], action)
        for statement in policy["Statement"]
        for action in set(statement["Action"]) - used.get(statement["Sid"], set())
        if statement["Sid"] != UNSEEN
    }
    assert unused == set()


@contextmanager
def enforcing(account: Account, policy: Policy) -> Iterator[None]:
    """Refuse calls of an account that a policy does not allow, with the words of AWS."""

    def refuse(params: Mapping[str, Any], model: OperationModel, **_: object) -> None:
        service = model.service_model.service_name
        for each in asked_by(service, model.name, params):
            if not allowing(policy, each) and each.action != TAGS_OF_FUNCTIONS:
                message = f"is not authorized to perform: {each.action} on {each.resource}"
                error: Any = {"Error": {"Code": "AccessDenied", "Message": message}}
                raise ClientError(error, model.name)

    def hide_tags(parsed: dict[str, Any], **_: object) -> None:
        arn = parsed.get("Configuration", {}).get("FunctionArn")
        if arn and not allowing(policy, Asked(TAGS_OF_FUNCTIONS, arn)):
            parsed.pop("Tags", None)
            message = f"is not authorized to perform: {TAGS_OF_FUNCTIONS} on {arn}"
            parsed["TagsError"] = {"ErrorCode": "AccessDeniedException", "Message": message}

    clients = vars(account.clients).values()
    for client in clients:
        client.meta.events.register("provide-client-params.*.*", refuse)
    account.clients.lambda_.meta.events.register("after-call.lambda.GetFunction", hide_tags)
    yield
    account.clients.lambda_.meta.events.unregister("after-call.lambda.GetFunction", hide_tags)
    for client in clients:
        client.meta.events.unregister("provide-client-params.*.*", refuse)


def without(policy: Policy, action: str) -> Policy:
    """Return a policy that lacks an action."""
    return policy_of(
        *(
            {**statement, "Action": [each for each in statement["Action"] if each != action]}
            for statement in policy["Statement"]
        )
    )


@pytest.mark.parametrize("action", TAKEN_AWAY)
def test_a_deployment_that_lacks_an_action_fails_and_names_it(
    any_pipeline: Sandbox, action: str
) -> None:
    """In a message that says where all of them are printed; with the whole policy it passes."""
    any_pipeline.settings = settings_of("totesys")
    policy = deployer_policy(names_of(any_pipeline))

    with enforcing(any_pipeline.account, without(policy, action)), pytest.raises(AwsError) as said:
        any_pipeline.deploy()

    assert action in str(said.value)
    assert "`deploy.py policy`" in str(said.value)
    with enforcing(any_pipeline.account, policy):
        assert pending(any_pipeline.deploy())


def test_with_the_whole_policy_a_second_deployment_changes_nothing(
    any_pipeline: Sandbox,
) -> None:
    """All that is compared can be read: tags of functions are left out of an answer otherwise."""
    any_pipeline.settings = settings_of("totesys")
    policy = deployer_policy(names_of(any_pipeline))

    with enforcing(any_pipeline.account, policy):
        any_pipeline.deploy()
        assert pending(any_pipeline.plan()) == []
        assert pending(any_pipeline.deploy()) == []


def test_tags_that_are_left_out_of_an_answer_are_no_missing_tags(any_pipeline: Sandbox) -> None:
    """Without the right to them, deployment and rollback say so, and change no function."""
    any_pipeline.settings = settings_of("totesys")
    names = names_of(any_pipeline)
    any_pipeline.deploy()
    any_pipeline.writes.clear()
    policy = without(deployer_policy(names), TAGS_OF_FUNCTIONS)

    with enforcing(any_pipeline.account, policy):
        for act in (
            any_pipeline.deploy,
            Rollback(any_pipeline.account, names, lambda _: None).roll_back,
        ):
            with pytest.raises(AwsError, match=r"lambda:ListTags: `deploy.py policy` prints"):
                act()
    assert any_pipeline.writes == []
