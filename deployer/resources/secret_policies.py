"""What the role of a function may do to log in: read its secrets, or connect by IAM."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from deployer.configuration.databases import DatabaseAddress
from deployer.configuration.existing_secrets import ExistingSecret
from deployer.resources.names import Names
from deployer.resources.resource_policies import Policy, allow
from etl.rds import region_of

NO_SECRETS: Mapping[str, ExistingSecret] = MappingProxyType({})
NO_LOGINS: Mapping[str, DatabaseAddress] = MappingProxyType({})


def reading(
    read: Collection[str], names: Names, existing: Mapping[str, ExistingSecret]
) -> list[Policy]:
    """Allow to read secrets; those of others may be encrypted by any key, for themselves alone.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
    """
    theirs = [existing[name] for name in read if name in existing]
    ours = [names.secret_arn(name) for name in read if name not in existing]
    arns = [*(each.arn for each in theirs), *ours]
    statements = [allow("secretsmanager:GetSecretValue", arns)] if arns else []
    for each in theirs:
        key = f"arn:{names.partition}:kms:{each.region}:{each.account}:key/*"
        condition = {
            "kms:ViaService": f"secretsmanager.{each.region}.{names.domain}",
            "kms:EncryptionContext:SecretARN": each.arn,
        }
        statements.append({**allow("kms:Decrypt", key), "Condition": {"StringEquals": condition}})
    return statements


def logging_in(
    read: Collection[str], names: Names, logins: Mapping[str, DatabaseAddress]
) -> list[Policy]:
    """Allow to log in by IAM, as these accounts alone; AWS chooses the ids of databases.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
    """
    by_iam = [logins[name] for name in read if name in logins and logins[name].auth == "iam"]
    users = [
        f"arn:{names.partition}:rds-db:{region_of(each.host) or names.region}:{names.account}"
        f":dbuser:*/{each.username}"
        for each in by_iam
    ]
    return [allow("rds-db:connect", users)] if users else []
