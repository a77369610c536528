"""What the policy of whoever deploys is limited to: names of the deployment, and two conditions."""

from deployer.configuration.organisation import Organisation
from deployer.resources.deployer_policy import deployer_policy
from deployer.resources.names import Names

NAMES = Names("shop", "dev", "123456789012", "eu-west-2")
HERE = "eu-west-2:123456789012"
BUCKETS = "arn:aws:s3:::shop-dev-123456789012-eu-west-2-*"
ROLES = "arn:aws:iam::123456789012:role/shop-dev-eu-west-2-*"
FUNCTIONS = f"arn:aws:lambda:{HERE}:function:shop-dev-*"
APIS = "arn:aws:apigateway:eu-west-2::"
STATEMENTS = {each["Sid"]: each for each in deployer_policy(NAMES)["Statement"]}


def test_a_deployer_reaches_nothing_but_the_deployment() -> None:
    """Each right ends at the names of one stage, but for what AWS has no names for."""
    assert {sid: each["Resource"] for sid, each in STATEMENTS.items()} == {
        "Buckets": [BUCKETS],
        "Objects": [f"{BUCKETS}/*"],
        "ObjectsOfCode": ["arn:aws:s3:::shop-dev-123456789012-eu-west-2-code/*"],
        "Roles": [ROLES],
        "RightsOfRoles": [ROLES],
        "PassRoles": [ROLES],
        "Functions": [FUNCTIONS],
        "Layers": [f"arn:aws:lambda:{HERE}:layer:shop-dev-*"],
        "EventSources": ["*"],
        "TagsOfEventSources": [f"arn:aws:lambda:{HERE}:event-source-mapping:*"],
        "LogGroups": [
            f"arn:aws:logs:{HERE}:log-group:/aws/lambda/shop-dev-*",
            f"arn:aws:logs:{HERE}:log-group:/aws/vendedlogs/shop-dev-*",
        ],
        "Rules": [f"arn:aws:events:{HERE}:rule/shop-dev-*"],
        "Secrets": [f"arn:aws:secretsmanager:{HERE}:secret:shop/dev/*"],
        "Queues": [f"arn:aws:sqs:{HERE}:shop-dev-*"],
        "Topic": [f"arn:aws:sns:{HERE}:shop-dev-alerts"],
        "Alarms": [f"arn:aws:cloudwatch:{HERE}:alarm:shop-dev-*"],
        "Dashboard": ["arn:aws:cloudwatch::123456789012:dashboard/shop-dev-eu-west-2"],
        "Lake": [
            f"arn:aws:glue:{HERE}:catalog",
            f"arn:aws:glue:{HERE}:database/shop_dev",
            f"arn:aws:glue:{HERE}:table/shop_dev/*",
            f"arn:aws:glue:{HERE}:userDefinedFunction/shop_dev/*",
        ],
        "Apis": [f"{APIS}/apis", f"{APIS}/apis/*", f"{APIS}/tags/*"],
        "Account": ["*"],
        "Networks": ["*"],
        "AccessLogs": ["*"],
    }


def test_a_deployer_passes_roles_to_lambda_alone() -> None:
    """A role of the deployment cannot be given to a machine, where anybody could use it."""
    assert STATEMENTS["PassRoles"] == {
        "Sid": "PassRoles",
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": [ROLES],
        "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
    }


def test_a_deployer_changes_event_sources_of_the_deployment_alone() -> None:
    """AWS chooses their ids: what is theirs is known by the function that they invoke."""
    assert STATEMENTS["EventSources"]["Condition"] == {"ArnLike": {"lambda:FunctionArn": FUNCTIONS}}
    assert {sid for sid, each in STATEMENTS.items() if "Condition" in each} == {
        "EventSources",
        "PassRoles",
    }


def test_a_deployer_gives_rights_within_the_boundary_alone() -> None:
    """Roles and their rights need it, whoever is asked for them; without one, nothing limits it."""
    boundary = "arn:aws:iam::123456789012:policy/limits"
    limited = deployer_policy(NAMES, Organisation(boundary=boundary))["Statement"]
    [rights] = [each for each in limited if each["Sid"] == "RightsOfRoles"]

    assert rights == {
        "Sid": "RightsOfRoles",
        "Effect": "Allow",
        "Action": ["iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"],
        "Resource": [ROLES],
        "Condition": {"StringEquals": {"iam:PermissionsBoundary": boundary}},
    }
    assert [each for each in limited if each != rights] == [
        each for sid, each in STATEMENTS.items() if sid != "RightsOfRoles"
    ]
    assert STATEMENTS["RightsOfRoles"]["Action"] == ["iam:CreateRole", "iam:PutRolePolicy"]
