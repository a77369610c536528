"""Reports in an account: their API, who may use it, what the function may do, and the removal."""

import json
from typing import Any

import pytest

from deployer.aws.apigateway import ROUTE, STAGE
from deployer.configuration.settings import Settings
from deployer.endpoints import report_urls
from deployer.resources.names import Names
from tests.aws.removing import teardown
from tests.aws.sandbox import Sandbox, everything_in, pending

NAMES = Names("totesys-etl", "dev", "123456789012", "eu-west-2")
TOKEN = "x" * 32
ENVIRONMENT = {
    "SOURCE_DATABASE_URL": "postgresql://reader:one@db.example.com/totesys",
    "WAREHOUSE_DATABASE_URL": "postgresql://loader:one@db.example.com/warehouse",
    "REPORTS_TOKEN": TOKEN,
}


@pytest.fixture
def served(sandbox: Sandbox) -> Sandbox:
    """The sandbox with a pipeline whose reports are served to who has a token."""
    sandbox.settings = Settings.read(ENVIRONMENT)
    return sandbox


def api_of(served: Sandbox) -> Any:
    [api] = served.account.clients.apigateway.get_apis()["Items"]
    return api


def environment_of(served: Sandbox) -> dict[str, str]:
    found = served.account.clients.lambda_.get_function_configuration(
        FunctionName=NAMES.function("serve")
    )
    return found["Environment"]["Variables"]


def allowed(served: Sandbox) -> dict[str, Any]:
    answer: Any = served.account.clients.iam.get_role_policy(
        RoleName=NAMES.role("serve"), PolicyName="least-privilege"
    )
    return {
        action: statement["Resource"]
        for statement in answer["PolicyDocument"]["Statement"]
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }


def test_an_api_of_its_own_leads_to_serve(served: Sandbox) -> None:
    """Throttled, logged, and none but it may invoke the function."""
    served.start_deployed()

    client, api = served.account.clients.apigateway, api_of(served)
    [route] = client.get_routes(ApiId=api["ApiId"])["Items"]
    [integration] = client.get_integrations(ApiId=api["ApiId"])["Items"]
    stage = client.get_stage(ApiId=api["ApiId"], StageName=STAGE)
    assert (api["Name"], route["RouteKey"]) == ("totesys-etl-dev-reports", ROUTE)
    assert route["AuthorizationType"] == "NONE"
    assert integration["IntegrationUri"] == NAMES.function_arn("serve")
    limits = stage["DefaultRouteSettings"]
    assert (limits["ThrottlingRateLimit"], limits["ThrottlingBurstLimit"]) == (300, 600)
    assert stage["AccessLogSettings"]["DestinationArn"] == NAMES.reports_log_group_arn
    policy = served.account.clients.lambda_.get_policy(FunctionName=NAMES.function("serve"))
    [statement] = json.loads(policy["Policy"])["Statement"]
    assert statement["Condition"]["ArnLike"]["AWS:SourceArn"].endswith(f":{api['ApiId']}/*")


def test_serve_may_read_its_secrets_and_the_markers_and_nothing_else(served: Sandbox) -> None:
    """Its environment names the secrets, and holds none."""
    served.start_deployed()

    secret = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:totesys-etl/dev"
    bucket = NAMES.bucket_arn("processed")
    assert allowed(served) == {
        "s3:GetObject": [f"{bucket}/loaded/*", f"{bucket}/lists/*"],
        "s3:ListBucket": bucket,
        "secretsmanager:GetSecretValue": [
            f"{secret}/warehouse-??????",
            f"{secret}/reports-token-??????",
        ],
        "logs:CreateLogStream": f"{NAMES.log_group_arn('serve')}:*",
        "logs:PutLogEvents": f"{NAMES.log_group_arn('serve')}:*",
    }
    environment = environment_of(served)
    assert environment["WAREHOUSE_SECRET_ID"] == "totesys-etl/dev/warehouse"
    assert environment["REPORTS_SECRET_ID"] == "totesys-etl/dev/reports-token"
    assert "SOURCE_SECRET_ID" not in environment
    assert TOKEN not in json.dumps(environment)


def test_an_account_that_only_reads_is_used_where_there_is_one(served: Sandbox) -> None:
    """Then serve may not read the secret of the account that writes."""
    url = "postgresql://finance:two@db.example.com/warehouse"
    served.settings = Settings.read({**ENVIRONMENT, "WAREHOUSE_READER_URL": url})
    served.deploy()

    secrets = allowed(served)["secretsmanager:GetSecretValue"]
    assert [each.rpartition("/")[2] for each in secrets] == [
        "warehouse-reader-??????",
        "reports-token-??????",
    ]
    assert environment_of(served)["WAREHOUSE_SECRET_ID"] == "totesys-etl/dev/warehouse-reader"
    found = served.account.clients.secrets.get_secret_value(
        SecretId="totesys-etl/dev/warehouse-reader"
    )
    assert json.loads(found["SecretString"])["username"] == "finance"


def test_callers_may_be_known_by_iam(served: Sandbox) -> None:
    """Then API Gateway checks each request, and there is no token; switching is an update."""
    served.start_deployed()
    served.settings = Settings.read({**ENVIRONMENT, "REPORTS_TOKEN": "", "REPORTS_AUTH": "iam"})

    changed = pending(served.deploy())

    client = served.account.clients.apigateway
    [route] = client.get_routes(ApiId=api_of(served)["ApiId"])["Items"]
    assert route["AuthorizationType"] == "AWS_IAM"
    assert ("api", "updated", ["routes"]) in changed
    assert environment_of(served)["REPORTS_AUTH"] == "iam"
    assert "REPORTS_SECRET_ID" not in environment_of(served)
    assert allowed(served)["secretsmanager:GetSecretValue"] == [
        "arn:aws:secretsmanager:eu-west-2:123456789012:secret:totesys-etl/dev/warehouse-??????"
    ]
    assert pending(served.plan()) == []


def test_serving_again_changes_nothing(served: Sandbox) -> None:
    """As with all that is deployed."""
    served.start_deployed()
    assert pending(served.deploy()) == []


def test_without_a_token_nothing_of_it_is_there(served: Sandbox) -> None:
    """Reports are never open: they are off until somebody is known."""
    served.settings = Settings.read({**ENVIRONMENT, "REPORTS_TOKEN": ""})
    served.deploy()

    assert served.account.clients.apigateway.get_apis()["Items"] == []
    functions = served.account.clients.lambda_.list_functions()["Functions"]
    assert NAMES.function("serve") not in [each["FunctionName"] for each in functions]
    assert report_urls(served.account, NAMES, served.settings.declared.reports) == {}


def test_switched_off_they_are_no_longer_served(served: Sandbox) -> None:
    """Nobody is answered any more, and nothing rings; switched on again, all is there."""
    served.start_deployed()
    on, alarms = served.settings, ("reports-failed", "reports-slow", "serve-errors")
    served.settings = Settings.read({**ENVIRONMENT, "REPORTS_TOKEN": ""})
    gone = [*(("alarm", NAMES.alarm(each)) for each in alarms), ("api", NAMES.reports_api)]
    for change in (served.plan, served.deploy):
        removed = [(c.kind, c.name) for c in change() if c.action == "removed"]
        assert [each for each in removed if each[0] != "secret"] == gone

    assert served.account.clients.apigateway.get_apis()["Items"] == []
    assert pending(served.plan()) == []
    served.settings = on
    served.deploy()
    assert api_of(served)["Name"] == NAMES.reports_api
    assert pending(served.plan()) == []


def test_an_api_of_somebody_else_stays(served: Sandbox) -> None:
    """APIs may have the same name: ours is another one, and only ours is removed."""
    client = served.account.clients.apigateway
    theirs = client.create_api(Name=NAMES.reports_api, ProtocolType="HTTP")["ApiId"]
    served.deploy()
    urls = report_urls(served.account, NAMES, served.settings.declared.reports)
    assert theirs not in str(urls)
    assert client.get_routes(ApiId=theirs)["Items"] == []

    assert teardown(served).remove().is_complete
    assert [each["ApiId"] for each in client.get_apis()["Items"]] == [theirs]


def test_the_urls_of_reports_are_known(served: Sandbox) -> None:
    """By their paths, with those that each API has."""
    served.start_deployed()

    urls = report_urls(served.account, NAMES, served.settings.declared.reports)
    assert list(urls) == ["payments/last5", "payments/next5", "health", "openapi.json"]
    assert all(url.startswith("https://") for url in urls.values())


def test_teardown_removes_all_of_it(served: Sandbox) -> None:
    """API, function, role, alarms, secrets and both log groups."""
    served.start_deployed()

    receipt = teardown(served).remove()

    removed = {(entry.kind, entry.name) for entry in receipt.entries if entry.outcome == "removed"}
    assert removed >= {
        ("api", NAMES.reports_api),
        ("function", NAMES.function("serve")),
        ("role", NAMES.role("serve")),
        ("log group", NAMES.reports_log_group),
        ("secret", NAMES.secret("reports-token")),
        ("alarm", NAMES.alarm("reports-slow")),
    }
    assert everything_in(served.account) == []
    assert served.account.clients.apigateway.get_apis()["Items"] == []
