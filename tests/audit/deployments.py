"""The deployments that are audited: every kind of resource, as AWS would get it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from deployer.aws.account import Account
from deployer.configuration.settings import Settings
from deployer.deployer import Deployer
from deployer.resources.deployer_policy import deployer_policy
from deployer.resources.names import Names
from tests.aws.sandbox import TinyPackages

WAREHOUSE = "postgresql://loader:one@db.example.com/warehouse"
DEPLOYED: tuple[dict[str, str], ...] = (
    {
        "PIPELINE": "totesys",
        "SOURCE_DATABASE_URL": "postgresql://reader:one@db.example.com/totesys",
        "REPORTS_TOKEN": "x" * 32,
        "NOTIFY": "every-batch",
    },
    {"PIPELINE": "retail"},
    {"PIPELINE": "stripe", "STRIPE_WEBHOOK_SECRET": "whsec_one"},
    {"PIPELINE": "zipster", "WAREHOUSE_DATABASE_URL": "mysql://loader:one@db.example.com/w"},
)


def deploy(account: Account, given: dict[str, str], folder: Path) -> Names:
    """Deploy a pipeline as into AWS itself, where buckets have a policy that demands TLS."""
    settings = Settings.read(
        {"WAREHOUSE_DATABASE_URL": WAREHOUSE, "ALERT_EMAIL": "team@example.com", **given}
    )
    as_aws = replace(account, endpoint=None)
    Deployer(as_aws, settings, TinyPackages(folder), lambda _: None).deploy()
    return Names.of(settings, account.id, account.region)


def policies(account: Account, names: Names) -> Iterator[tuple[str, Any]]:
    """Yield every policy of a deployment, and that of whoever deploys it, each with a name."""
    aws, prefix = account.clients, names.prefix
    yield f"deployer of {prefix}", deployer_policy(names)
    for role in _mine(aws.iam.list_roles(MaxItems=1000)["Roles"], "RoleName", prefix):
        yield (
            f"trust of {role}",
            aws.iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"],
        )
        for policy in aws.iam.list_role_policies(RoleName=role)["PolicyNames"]:
            found = aws.iam.get_role_policy(RoleName=role, PolicyName=policy)
            yield f"role {role}", found["PolicyDocument"]
    for bucket in _mine(aws.s3.list_buckets()["Buckets"], "Name", prefix):
        yield f"bucket {bucket}", json.loads(aws.s3.get_bucket_policy(Bucket=bucket)["Policy"])
    listed = aws.lambda_.list_functions(MaxItems=1000)["Functions"]
    for function in _mine(listed, "FunctionName", prefix):
        yield (
            f"function {function}",
            json.loads(aws.lambda_.get_policy(FunctionName=function)["Policy"]),
        )
    attributes = aws.sns.get_topic_attributes(TopicArn=names.topic_arn)["Attributes"]
    yield f"topic {names.topic}", json.loads(attributes["Policy"])


def _mine(listed: Any, key: str, prefix: str) -> list[str]:
    return [each[key] for each in listed if each[key].startswith(f"{prefix}-")]
