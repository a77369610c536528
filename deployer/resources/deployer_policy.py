"""The IAM policy of whoever deploys: the rights to deploy, operate and remove a pipeline.

Every statement is limited to the names of the deployment where that is possible: AWS chooses the
ids of APIs and event sources, and some lists are of a whole account.
"""

from collections.abc import Iterable, Sequence
from os.path import commonprefix
from typing import get_args

from deployer.configuration.organisation import NO_RULES, Organisation
from deployer.resources import specs
from deployer.resources.alarm_specs import possible_alarms
from deployer.resources.names import BucketUse, FunctionUse, Names, RuleUse
from deployer.resources.resource_policies import Policy, policy_of

# Of an inline policy of a role and of a managed policy, without white space:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
INLINE_CHARACTERS = 10_240

EVERY_LAYER = (
    *specs.LAYERS,
    *specs.DATABASE_LAYERS,
    specs.LAKE_LAYER,
    specs.LIGHT_LAYER,
    specs.OWN_LAYER,
)

_BUCKETS = """
    s3:CreateBucket s3:DeleteBucket s3:ListBucket s3:ListBucketVersions
    s3:GetBucketNotification s3:PutBucketNotification s3:GetBucketPolicy s3:PutBucketPolicy
    s3:GetBucketPublicAccessBlock s3:PutBucketPublicAccessBlock
    s3:GetBucketTagging s3:PutBucketTagging s3:GetBucketVersioning s3:PutBucketVersioning
    s3:GetEncryptionConfiguration s3:PutEncryptionConfiguration
    s3:GetLifecycleConfiguration s3:PutLifecycleConfiguration
"""
# A layer is published from one version of an object, which Lambda reads as who publishes it.
_OBJECTS_OF_CODE = "s3:GetObjectVersion"
_OBJECTS = "s3:GetObject s3:PutObject s3:DeleteObject s3:DeleteObjectVersion"
_ROLES = """
    iam:GetRole iam:DeleteRole iam:TagRole iam:UpdateAssumeRolePolicy
    iam:ListRolePolicies iam:GetRolePolicy iam:DeleteRolePolicy
    iam:ListAttachedRolePolicies iam:DetachRolePolicy
"""
# With a permissions boundary, roles can be given rights within it alone.
_RIGHTS = "iam:CreateRole iam:PutRolePolicy"
# Roles of the user's are looked at, and simulated, alone.
_YOUR_ROLES = "iam:GetRole iam:SimulatePrincipalPolicy"
_BOUNDARY = "iam:PutRolePermissionsBoundary"
_FUNCTIONS = """
    lambda:CreateFunction lambda:GetFunction lambda:GetFunctionConfiguration lambda:DeleteFunction
    lambda:UpdateFunctionCode lambda:UpdateFunctionConfiguration lambda:PutFunctionConcurrency
    lambda:GetFunctionEventInvokeConfig lambda:PutFunctionEventInvokeConfig
    lambda:AddPermission lambda:GetPolicy lambda:RemovePermission lambda:TagResource
    lambda:ListTags lambda:InvokeFunction
"""
_LAYERS = """
    lambda:PublishLayerVersion lambda:ListLayerVersions lambda:GetLayerVersion
    lambda:DeleteLayerVersion
"""
_EVENT_SOURCES = """
    lambda:CreateEventSourceMapping lambda:GetEventSourceMapping lambda:UpdateEventSourceMapping
    lambda:DeleteEventSourceMapping
"""
# AWS chooses the ids that their ARNs end in.
_TAGS_OF_EVENT_SOURCES = "lambda:TagResource"
_LOG_GROUPS = """
    logs:CreateLogGroup logs:DeleteLogGroup logs:PutRetentionPolicy logs:ListTagsForResource
    logs:TagResource logs:FilterLogEvents
"""
_RULES = """
    events:PutRule events:DescribeRule events:DeleteRule events:PutTargets events:RemoveTargets
    events:ListTargetsByRule events:ListTagsForResource events:TagResource
"""
_SECRETS = """
    secretsmanager:CreateSecret secretsmanager:DescribeSecret secretsmanager:GetSecretValue
    secretsmanager:PutSecretValue secretsmanager:RestoreSecret secretsmanager:DeleteSecret
    secretsmanager:TagResource
"""
_QUEUES = """
    sqs:CreateQueue sqs:DeleteQueue sqs:GetQueueAttributes sqs:SetQueueAttributes sqs:GetQueueUrl
    sqs:ListQueueTags sqs:TagQueue
"""
_TOPIC = """
    sns:CreateTopic sns:DeleteTopic sns:GetTopicAttributes sns:SetTopicAttributes
    sns:ListSubscriptionsByTopic sns:Subscribe sns:ListTagsForResource sns:TagResource
    sns:UntagResource
"""
_ALARMS = """
    cloudwatch:PutMetricAlarm cloudwatch:SetAlarmState cloudwatch:EnableAlarmActions
    cloudwatch:DeleteAlarms cloudwatch:ListTagsForResource cloudwatch:TagResource
"""
_DASHBOARD = """
    cloudwatch:GetDashboard cloudwatch:PutDashboard cloudwatch:DeleteDashboards
    cloudwatch:TagResource
"""
_LAKE = """
    glue:CreateDatabase glue:GetDatabase glue:DeleteDatabase glue:GetTables glue:DeleteTable
    glue:GetTags glue:TagResource
"""
_APIS = "apigateway:GET apigateway:POST apigateway:PATCH apigateway:DELETE"
# With a key of the user's; Lambda uses it for the role of a function, by a grant.
_KEY = "kms:DescribeKey kms:GetKeyPolicy"
_KEY_IN_USE = "kms:Encrypt kms:Decrypt kms:GenerateDataKey kms:CreateGrant"
_PROOF_KEY = "kms:DescribeKey kms:Verify"
_KEY_OF_SECRETS, _KEY_OF_LOG_GROUPS = " secretsmanager:UpdateSecret", " logs:AssociateKmsKey"
# Actions without a resource, or whose resources are not identified by name.
_ACCOUNT = """
    tag:GetResources lambda:GetAccountSettings lambda:ListEventSourceMappings
    logs:DescribeLogGroups secretsmanager:ListSecrets cloudwatch:DescribeAlarms sns:Unsubscribe
    iam:GetAccountSummary iam:SimulatePrincipalPolicy
"""
# Of networks only looks, which AWS limits to no resource; Lambda looks too, at those it is given.
_NETWORKS = """
    ec2:DescribeSubnets ec2:DescribeSecurityGroups ec2:DescribeVpcs ec2:DescribeRouteTables
    ec2:DescribeVpcEndpoints ec2:DescribeNetworkInterfaces
"""
# API Gateway sets up the delivery of access logs with the rights of its caller:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
_ACCESS_LOGS = """
    logs:CreateLogDelivery logs:GetLogDelivery logs:UpdateLogDelivery logs:DeleteLogDelivery
    logs:ListLogDeliveries logs:PutResourcePolicy logs:DescribeResourcePolicies
"""


def deployer_policy(names: Names, rules: Organisation = NO_RULES) -> Policy:
    """Return the least policy under which a pipeline is deployed, operated and removed.

    It allows creating roles: without a permissions boundary its holder can become an
    administrator of the account.
    """
    buckets = _all_of(names.bucket_arn(use) for use in get_args(BucketUse))
    uses = get_args(FunctionUse)
    functions = _all_of(names.function_arn(use) for use in uses)
    layers = _all_of(names.layer_arn(layer) for layer in EVERY_LAYER)
    ours = [names.role_arn(use) for use in uses if use not in names.existing_roles]
    roles = [_all_of(ours)] if ours else []
    theirs = list(dict.fromkeys(names.existing_roles.values()))
    log_groups = [
        _all_of(names.log_group_arn(use) for use in uses),
        _all_of([names.access_log_group_arn, names.reports_log_group_arn]),
    ]
    queues = _all_of([names.queue_arn, names.events_queue_arn, names.dead_queue_arn])
    gateway, key = names.gateway_arn, rules.kms_key
    return policy_of(
        _allow("Buckets", _BUCKETS, buckets),
        _allow("Objects", _OBJECTS, f"{buckets}/*"),
        _allow("ObjectsOfCode", _OBJECTS_OF_CODE, f"{names.bucket_arn('code')}/*"),
        *(_rights_to_roles(roles, rules.boundary) if roles else []),
        *([_allow("YourRoles", _YOUR_ROLES, *theirs)] if theirs else []),
        {
            **_allow("PassRoles", "iam:PassRole", *roles, *theirs),
            "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        },
        _allow("Functions", _FUNCTIONS, functions),
        _allow("Layers", _LAYERS, layers),
        {
            **_allow("EventSources", _EVENT_SOURCES, "*"),
            "Condition": {"ArnLike": {"lambda:FunctionArn": functions}},
        },
        _allow("TagsOfEventSources", _TAGS_OF_EVENT_SOURCES, names.event_sources_arn),
        _allow("LogGroups", _LOG_GROUPS + (_KEY_OF_LOG_GROUPS if key else ""), *log_groups),
        _allow("Rules", _RULES, _all_of(names.rule_arn(use) for use in get_args(RuleUse))),
        _allow("Secrets", _SECRETS + (_KEY_OF_SECRETS if key else ""), names.secrets_arn),
        _allow("Queues", _QUEUES, queues),
        _allow("Topic", _TOPIC, names.topic_arn),
        _allow("Alarms", _ALARMS, _all_of(alarm.arn for alarm in possible_alarms(names))),
        _allow("Dashboard", _DASHBOARD, names.dashboard_arn),
        _allow("Lake", _LAKE, *names.lake_arns, names.lake_functions_arn),
        _allow("Apis", _APIS, f"{gateway}/apis", f"{gateway}/apis/*", f"{gateway}/tags/*"),
        _allow("Account", _ACCOUNT, "*"),
        _allow("Networks", _NETWORKS, "*"),
        _allow("AccessLogs", _ACCESS_LOGS, "*"),
        *_rights_to_key(key, names),
        *([_allow("ProofKey", _PROOF_KEY, rules.proof_key)] if rules.proof_key else []),
    )


def _rights_to_key(key: str | None, names: Names) -> list[Policy]:
    """Allow to encrypt by a key of the user's, through the services that do so for the caller."""
    if key is None:
        return []
    encrypting = ("lambda", "s3", "secretsmanager")
    via = [f"{service}.{names.region}.{names.domain}" for service in encrypting]
    by_services = {"StringEquals": {"kms:ViaService": via}}
    return [
        _allow("Key", _KEY, key),
        {**_allow("KeyInUse", _KEY_IN_USE, key), "Condition": by_services},
    ]


def _rights_to_roles(roles: Sequence[str], boundary: str | None) -> list[Policy]:
    """Allow to create roles; those with a boundary of the user's only with that."""
    changing = _allow("Roles", _ROLES, *roles)
    if boundary is None:
        return [changing, _allow("RightsOfRoles", _RIGHTS, *roles)]
    limited = _allow("RightsOfRoles", f"{_RIGHTS} {_BOUNDARY}", *roles)
    only = {"StringEquals": {"iam:PermissionsBoundary": boundary}}
    return [changing, {**limited, "Condition": only}]


def _allow(sid: str, actions: str, *resources: str) -> dict[str, object]:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": actions.split(),
        "Resource": list(resources),
    }


def _all_of(arns: Iterable[str]) -> str:
    """Return the longest common prefix of ARNs as a pattern."""
    return commonprefix(list(arns)) + "*"  # noqa: RUF071  they are no paths
