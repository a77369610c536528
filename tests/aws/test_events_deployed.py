"""A pipeline of events in an account: its endpoint and queues, who may do what, and the removal."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pipelines
from deployer.aws import event_sources
from deployer.aws.apigateway import ROUTE, STAGE
from deployer.aws.event_sources import EventSource
from deployer.configuration.settings import Settings
from deployer.resources.names import Names
from deployer.resources.specs import OF_EVENTS
from tests.aws.faults import Faults, stubbed
from tests.aws.removing import outcomes, teardown
from tests.aws.sandbox import Sandbox, everything_in, pending

FOLDER = Path(__file__).parent.parent / "pipelines"
NAMES = Names("till-etl", "dev", "123456789012", "eu-west-2")
ENVIRONMENT = {
    "PIPELINE": "till",
    "WAREHOUSE_DATABASE_URL": "postgresql://loader:one@db.example.com/warehouse",
    "TILL_WEBHOOK_SECRET": "whsec_old whsec_new",
}


@pytest.fixture
def till(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The sandbox with a pipeline of events; one of its two sources has no secret."""
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])
    sandbox.settings = Settings.read(ENVIRONMENT)
    return sandbox


def api_of(till: Sandbox) -> dict[str, Any]:
    [api] = till.account.clients.apigateway.get_apis()["Items"]
    found: dict[str, Any] = api
    return found


def test_an_api_leads_every_request_to_receive(till: Sandbox) -> None:
    """One route and one stage, throttled, and each request in the access log."""
    till.start_deployed()

    client, api = till.account.clients.apigateway, api_of(till)
    [route] = client.get_routes(ApiId=api["ApiId"])["Items"]
    [integration] = client.get_integrations(ApiId=api["ApiId"])["Items"]
    stage = client.get_stage(ApiId=api["ApiId"], StageName=STAGE)
    assert (api["Name"], api["ProtocolType"]) == ("till-etl-dev-events", "HTTP")
    assert api["Tags"]["managed-by"]
    assert route["RouteKey"] == ROUTE
    assert route["Target"] == f"integrations/{integration['IntegrationId']}"
    assert integration["IntegrationUri"] == NAMES.function_arn("receive")
    assert integration["PayloadFormatVersion"] == "2.0"
    assert stage["AutoDeploy"]
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == 2000
    assert stage["AccessLogSettings"]["DestinationArn"] == NAMES.access_log_group_arn
    assert json.loads(stage["AccessLogSettings"]["Format"])["status"] == "$context.status"


def test_that_api_alone_may_invoke_receive(till: Sandbox) -> None:
    """One statement, for one API; nobody is allowed to invoke collect."""
    till.start_deployed()

    client = till.account.clients.lambda_
    policy = json.loads(client.get_policy(FunctionName=NAMES.function("receive"))["Policy"])
    [statement] = policy["Statement"]
    assert statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
    assert statement["Condition"] == {
        "ArnLike": {
            "AWS:SourceArn": f"arn:aws:execute-api:eu-west-2:123456789012:{api_of(till)['ApiId']}/*"
        }
    }
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_policy(FunctionName=NAMES.function("collect"))


def test_events_wait_encrypted_and_are_put_aside_after_five_failures(till: Sandbox) -> None:
    """A message is hidden for six times what collect may take; only receive may send one."""
    till.start_deployed()

    sqs = till.account.clients.sqs
    url = sqs.get_queue_url(QueueName=NAMES.events_queue)["QueueUrl"]
    queue: Any = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    [collect] = [spec for spec in OF_EVENTS if spec.use == "collect"]
    assert queue["SqsManagedSseEnabled"] == "true"
    assert int(queue["VisibilityTimeout"]) == 6 * collect.timeout
    assert json.loads(queue["RedrivePolicy"]) == {
        "deadLetterTargetArn": NAMES.dead_queue_arn,
        "maxReceiveCount": 5,
    }
    [refused] = json.loads(queue["Policy"])["Statement"]
    assert (refused["Effect"], refused["Action"]) == ("Deny", "sqs:SendMessage")
    assert refused["Condition"]["ArnNotLike"]["aws:PrincipalArn"] == [
        NAMES.role_arn("receive"),
        f"arn:aws:sts::123456789012:assumed-role/{NAMES.role('receive')}/*",
    ]


def test_collect_is_given_thousands_of_events_at_once(till: Sandbox) -> None:
    """It says itself which messages it failed at, and runs twice at most."""
    till.start_deployed()

    client = till.account.clients.lambda_
    [source] = client.list_event_source_mappings()["EventSourceMappings"]
    assert source["EventSourceArn"] == NAMES.events_queue_arn
    assert source["FunctionArn"] == NAMES.function_arn("collect")
    assert (source["BatchSize"], source["MaximumBatchingWindowInSeconds"]) == (10_000, 5)
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"] == {"MaximumConcurrency": 2}


def test_receive_may_send_and_read_its_secret_and_nothing_else(till: Sandbox) -> None:
    """Beside its log; collect has no secret, and neither has a database's."""
    till.start_deployed()

    def allowed(use: Any) -> dict[str, Any]:
        answer: Any = till.account.clients.iam.get_role_policy(
            RoleName=NAMES.role(use), PolicyName="least-privilege"
        )
        statements = answer["PolicyDocument"]["Statement"]
        return {str(each["Action"]): each["Resource"] for each in statements}

    assert allowed("receive") == {
        "['sqs:SendMessage', 'sqs:GetQueueAttributes']": NAMES.events_queue_arn,
        "secretsmanager:GetSecretValue": [NAMES.secret_arn("till"), NAMES.secret_arn("stock")],
        "['logs:CreateLogStream', 'logs:PutLogEvents']": f"{NAMES.log_group_arn('receive')}:*",
    }
    assert not [action for action in allowed("collect") if "secret" in action]


def test_functions_of_events_have_what_they_need(till: Sandbox) -> None:
    """Receive has one small layer, its queue and its secret by name; neither has reserved runs."""
    till.start_deployed()

    client = till.account.clients.lambda_
    receive = client.get_function(FunctionName=NAMES.function("receive"))
    collect = client.get_function(FunctionName=NAMES.function("collect"))
    layers = [
        [layer["Arn"].split(":")[-2] for layer in each["Configuration"]["Layers"]]
        for each in (receive, collect)
    ]
    variables = receive["Configuration"]["Environment"]["Variables"]
    assert layers == [["till-etl-dev-powertools"], ["till-etl-dev-arrow"]]
    assert variables["EVENTS_QUEUE_URL"].endswith("/123456789012/till-etl-dev-events")
    assert variables["TILL_SECRET_ID"] == "till-etl/dev/till"
    assert "STOCK_SECRET_ID" not in variables
    assert "whsec" not in json.dumps(variables)
    assert ("Concurrency" in receive, "Concurrency" in collect) == (False, False)


def test_two_secrets_are_kept_during_a_roll_over(till: Sandbox) -> None:
    """In the order of the setting; a deployment with another setting writes the new one."""
    till.start_deployed()
    secrets = till.account.clients.secrets
    first = json.loads(secrets.get_secret_value(SecretId="till-etl/dev/till")["SecretString"])

    till.settings = Settings.read({**ENVIRONMENT, "TILL_WEBHOOK_SECRET": "whsec_new"})
    changes = till.deploy()

    second = json.loads(secrets.get_secret_value(SecretId="till-etl/dev/till")["SecretString"])
    assert first == {"secrets": ["whsec_old", "whsec_new"]}
    assert second == {"secrets": ["whsec_new"]}
    assert pending(changes) == [("secret", "updated", ["value"])]
    assert "whsec" not in str(changes)


def test_the_endpoint_has_its_alarms(till: Sandbox) -> None:
    """Refusals as a share, failures, slow answers, events that wait, and dead ones."""
    till.start_deployed()

    alarms = {
        each["AlarmName"].removeprefix("till-etl-dev-"): each
        for each in till.account.clients.cloudwatch.describe_alarms()["MetricAlarms"]
    }
    api = [{"Name": "ApiId", "Value": api_of(till)["ApiId"]}]
    share = alarms["events-refused"]["Metrics"]
    assert [each.get("Expression") for each in share] == [None, None, "100 * part / whole"]
    assert share[0]["MetricStat"]["Metric"]["Dimensions"] == api
    assert alarms["events-failed"]["Dimensions"] == api
    assert alarms["events-slow"]["ExtendedStatistic"] == "p99"
    assert alarms["events-waiting"]["Dimensions"][0]["Value"] == NAMES.events_queue
    assert alarms["dead-events"]["Dimensions"][0]["Value"] == NAMES.dead_queue
    assert {"receive-errors", "collect-errors"} <= alarms.keys()


def test_a_second_deployment_changes_nothing(till: Sandbox) -> None:
    """All of it is read as it was written."""
    till.start_deployed()
    till.writes.clear()

    assert (pending(till.deploy()), till.writes) == ([], [])


def test_a_default_statistic_beside_a_percentile_changes_nothing(till: Sandbox) -> None:
    """An emulator answers with one; AWS has either of them."""
    till.start_deployed()

    def add_default(parsed: dict[str, Any], **_: object) -> None:
        for alarm in parsed["MetricAlarms"]:
            if "ExtendedStatistic" in alarm:
                alarm["Statistic"] = "Average"

    events = till.account.clients.cloudwatch.meta.events
    events.register("after-call.cloudwatch.DescribeAlarms", add_default)
    try:
        planned = pending(till.plan())
    finally:
        events.unregister("after-call.cloudwatch.DescribeAlarms", add_default)

    assert planned == []


def test_a_plan_writes_nothing(till: Sandbox) -> None:
    """It names the API, though that has no id yet."""
    planned = {(change.kind, change.name) for change in till.plan()}

    assert till.writes == []
    assert planned >= {
        ("api", NAMES.api),
        ("permission", f"{NAMES.function('receive')}/api-events"),
        ("event source", f"{NAMES.events_queue}/{NAMES.function('collect')}"),
    }


def test_what_was_changed_by_hand_is_put_right(till: Sandbox) -> None:
    """Another function behind the route, a second route, other batches, a longer queue."""
    till.start_deployed()
    clients, api = till.account.clients, api_of(till)["ApiId"]
    [integration] = clients.apigateway.get_integrations(ApiId=api)["Items"]
    clients.apigateway.update_integration(
        ApiId=api,
        IntegrationId=integration["IntegrationId"],
        IntegrationUri=NAMES.function_arn("load"),
    )
    clients.apigateway.create_route(ApiId=api, RouteKey="GET /elsewhere")
    [source] = clients.lambda_.list_event_source_mappings()["EventSourceMappings"]
    clients.lambda_.update_event_source_mapping(UUID=source["UUID"], BatchSize=1, Enabled=False)
    url = clients.sqs.get_queue_url(QueueName=NAMES.events_queue)["QueueUrl"]
    clients.sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "30"})

    changed = {kind: (action, what) for kind, action, what in pending(till.deploy())}
    assert changed.keys() == {"api", "event source", "queue"}
    assert changed["api"] == ("updated", ["integration", "routes"])
    assert changed["event source"] == ("updated", ["BatchSize", "enabled"])
    assert "VisibilityTimeout" in changed["queue"][1]
    assert pending(till.deploy()) == []


def test_a_stage_that_differs_is_updated(till: Sandbox) -> None:
    """Its throttling and its log, by what AWS answers."""
    till.start_deployed()
    client, api = till.account.clients.apigateway, api_of(till)
    integration = client.get_integrations(ApiId=api["ApiId"])["Items"][0]
    stage = client.get_stage(ApiId=api["ApiId"], StageName=STAGE)
    kept = {name: stage[name] for name in ("AutoDeploy", "AccessLogSettings")}
    there = {"StageName": STAGE, **kept, "DefaultRouteSettings": {"ThrottlingBurstLimit": 1}}
    route = {"RouteKey": ROUTE, "Target": f"integrations/{integration['IntegrationId']}"}
    wanted = {**kept, "DefaultRouteSettings": stage["DefaultRouteSettings"]}
    by_id = {"ApiId": api["ApiId"], "StageName": STAGE}
    listed = {"Items": [{**api, "RouteSelectionExpression": "$request.method"}]}
    with stubbed(client) as answers:
        answers.add_response("get_apis", listed)
        answers.add_response("get_routes", {"Items": [route]})
        answers.add_response("get_integration", integration)
        answers.add_response("get_stage", there)
        answers.add_response("get_stage", there)
        answers.add_response("update_stage", {}, {**by_id, **wanted})

        change = till.deployer().endpoint.http.create()

    assert list(change.differences) == ["DefaultRouteSettings"]


@pytest.mark.parametrize(
    ("operation", "code", "message"),
    [
        (
            "CreateEventSourceMapping",
            "InvalidParameterValueException",
            "The provided execution role does not have permissions to call ReceiveMessage on SQS",
        ),
        (
            "CreateEventSourceMapping",
            "InvalidParameterValueException",
            "Queue visibility timeout: 30 seconds is less than Function timeout: 120 seconds",
        ),
        ("CreateStage", "ConflictException", "Unable to complete operation due to concurrent"),
        ("CreateQueue", "AWS.SimpleQueueService.QueueDeletedRecently", "Wait 60 seconds"),
    ],
)
def test_late_answers_are_waited_for(
    till: Sandbox, operation: str, code: str, message: str
) -> None:
    """AWS is not ready at once for what it has just agreed to."""
    faults = Faults({operation: (code, message)})
    faults.inject(till, "before-call")

    till.deploy()

    assert faults.given == {operation: 1}
    assert pending(till.deploy()) == []


def test_an_event_source_that_is_being_removed_is_created_again(
    till: Sandbox, sleeps: list[float]
) -> None:
    """Once it is gone: AWS allows one for a queue and a function, and goes on removing it."""
    till.start_deployed()
    client: Any = till.account.clients.lambda_
    [old] = client.list_event_source_mappings()["EventSourceMappings"]
    client.delete_event_source_mapping(UUID=old["UUID"])
    name = EventSource(NAMES.events_queue, NAMES.function("collect")).name
    began = len(sleeps)

    def list_it(parsed: dict[str, Any], **_: object) -> None:
        if len(sleeps) < began + 3:
            parsed["EventSourceMappings"].append({**old, "State": "Deleting"})

    client.meta.events.register("after-call.lambda.ListEventSourceMappings", list_it)
    assert event_sources.is_enabled(till.account, name) is None
    assert event_sources.remove_event_source(replace(till.account, planning=True), name)

    planned, done = till.plan(), till.deploy()

    assert pending(planned) == pending(done)
    assert [each[:2] for each in pending(done)] == [("event source", "created")]
    assert event_sources.is_enabled(till.account, name)
    [new] = client.list_event_source_mappings()["EventSourceMappings"]
    assert new["UUID"] != old["UUID"]
    assert pending(till.plan()) == []


def test_nothing_of_an_endpoint_is_left(till: Sandbox) -> None:
    """The API goes first; so that nothing comes any more when the queues go."""
    till.start_deployed()

    receipt = teardown(till).remove()

    clients = till.account.clients
    assert everything_in(till.account) == []
    assert clients.apigateway.get_apis()["Items"] == []
    assert clients.lambda_.list_event_source_mappings()["EventSourceMappings"] == []
    kinds = outcomes(receipt)["removed"]
    assert kinds.index("api") < kinds.index("function") < kinds.index("queue")
    removed = {(entry.kind, entry.name) for entry in receipt.entries if entry.outcome == "removed"}
    assert removed >= {
        ("event source", EventSource(NAMES.events_queue, NAMES.function("collect")).name),
        ("queue", NAMES.events_queue),
        ("queue", NAMES.dead_queue),
        ("log group", NAMES.access_log_group),
        ("layer", NAMES.layer("powertools")),
        ("alarm", NAMES.alarm("events-refused")),
    }


def test_a_declaration_without_events_makes_none_of_it(sandbox: Sandbox) -> None:
    """No API, no more queues and functions than there were, and none in the receipt."""
    changes = sandbox.deploy()

    assert {change.kind for change in changes}.isdisjoint({"api", "event source"})
    assert [change.name for change in changes if change.kind == "queue"] == [
        "totesys-etl-dev-failed-events"
    ]
    assert sum(change.kind == "function" for change in changes) == 5
    entries = teardown(sandbox).remove().entries
    assert {entry.kind for entry in entries}.isdisjoint({"api", "event source"})
