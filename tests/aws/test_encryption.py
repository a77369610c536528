"""A deployment that is encrypted by a key of the user's."""

import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from deployer.aws.account import Account
from deployer.configuration.organisation import Organisation
from deployer.errors import AwsError, SettingsError
from deployer.resources.deployer_policy import deployer_policy
from deployer.resources.names import Names
from tests.aws.conftest import HTTP_OK
from tests.aws.faults import Faults
from tests.aws.sandbox import Sandbox, pending
from tests.unit.test_key_policies import ACCOUNT, CLOUDWATCH, LOGS


def a_key(account: Account, *statements: Any) -> str:
    """Create a key with a policy, and return its ARN."""
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    made = account.clients.kms.create_key(Policy=json.dumps(policy, default=list))
    return str(made["KeyMetadata"]["Arn"])


@pytest.fixture
def key(sandbox: Sandbox) -> str:
    """A key that everybody may use who has to; the settings name it."""
    key = a_key(sandbox.account, ACCOUNT, CLOUDWATCH, LOGS)
    use(sandbox, key)
    sandbox.writes.clear()
    return key


def use(sandbox: Sandbox, key: str | None) -> None:
    sandbox.settings = replace(sandbox.settings, organisation=Organisation(kms_key=key))


def names_of(sandbox: Sandbox) -> Names:
    return Names.of(sandbox.settings, sandbox.account.id, sandbox.account.region)


def keys_in_use(sandbox: Sandbox) -> dict[str, object]:
    """Return the key of a resource of each kind, by its kind."""
    clients, names = sandbox.account.clients, names_of(sandbox)
    encryption = clients.s3.get_bucket_encryption(Bucket=names.bucket("ingestion"))
    [rule] = encryption["ServerSideEncryptionConfiguration"]["Rules"]
    url = clients.sqs.get_queue_url(QueueName=names.queue)["QueueUrl"]
    queue = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    topic = clients.sns.get_topic_attributes(TopicArn=names.topic_arn)["Attributes"]
    group = names.log_group("load")
    [found] = clients.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    function = clients.lambda_.get_function(FunctionName=names.function("load"))
    return {
        "bucket": rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID"),
        "bucket key": rule.get("BucketKeyEnabled"),
        "queue": queue.get("KmsMasterKeyId"),
        "topic": topic.get("KmsMasterKeyId"),
        "log group": found.get("kmsKeyId"),
        "secret": clients.secrets.describe_secret(SecretId=names.secret("source")).get("KmsKeyId"),
        "function": function["Configuration"].get("KMSKeyArn"),
    }


def test_everything_is_encrypted_by_the_key(sandbox: Sandbox, key: str) -> None:
    """Buckets, queues, the topic, logs, secrets, and the variables of functions."""
    sandbox.deploy()

    assert keys_in_use(sandbox) == {
        "bucket": key,
        "bucket key": True,
        **dict.fromkeys(("queue", "topic", "log group", "secret", "function"), key),
    }
    assert pending(sandbox.plan()) == []


def test_a_deployment_may_begin_to_use_a_key(sandbox: Sandbox) -> None:
    """What was written before stays readable; each kind of resource is changed, and once."""
    sandbox.start_deployed()
    use(sandbox, a_key(sandbox.account, ACCOUNT, CLOUDWATCH, LOGS))
    changed: dict[str, str] = {}  # what moto does not know

    def associate(params: dict[str, Any], **_: object) -> tuple[AWSResponse, dict[str, Any]]:
        given = json.loads(params["body"])
        changed[given["logGroupName"]] = given["kmsKeyId"]
        return HTTP_OK, {}

    def update(params: dict[str, Any], **_: object) -> None:
        changed[params["FunctionName"]] = params["KMSKeyArn"]

    logs: Any = sandbox.account.clients.logs
    logs.meta.events.register("before-call.logs.AssociateKmsKey", associate)
    functions: Any = sandbox.account.clients.lambda_
    functions.meta.events.register(
        "provide-client-params.lambda.UpdateFunctionConfiguration", update
    )

    sandbox.deploy()

    key, names = sandbox.settings.organisation.kms_key, names_of(sandbox)
    assert {name: of for name, of in keys_in_use(sandbox).items() if of != key} == {
        "bucket key": True,
        "log group": None,
        "function": None,
    }
    assert changed[names.log_group("load")] == changed[names.function("load")] == key
    assert {kind for kind, _, _ in pending(sandbox.plan())} == {"log group", "function"}


@pytest.mark.parametrize("other", [True, False])
def test_a_key_in_use_is_neither_replaced_nor_taken_out(
    sandbox: Sandbox, key: str, other: bool
) -> None:
    """The roles would lose their right to it, and with that what is in the buckets."""
    sandbox.deploy()
    use(sandbox, a_key(sandbox.account, ACCOUNT, CLOUDWATCH, LOGS) if other else None)
    sandbox.writes.clear()

    with pytest.raises(SettingsError, match=f"Set KMS_KEY={key}, or remove the deployment"):
        sandbox.deploy()
    assert sandbox.writes == []


def test_a_key_that_alarms_cannot_use_is_refused_before_anything(sandbox: Sandbox) -> None:
    """In one line for each who cannot."""
    use(sandbox, a_key(sandbox.account, ACCOUNT))
    sandbox.writes.clear()

    with pytest.raises(SettingsError) as refused:
        sandbox.deploy()

    assert [line.split(" to ")[1].split(":")[0] for line in refused.value.problems] == [
        "cloudwatch.amazonaws.com",
        "logs.eu-west-2.amazonaws.com",
    ]
    assert sandbox.writes == []


def test_a_key_that_is_not_there_is_refused_before_anything(sandbox: Sandbox) -> None:
    """Likewise."""
    use(sandbox, f"arn:aws:kms:eu-west-2:{sandbox.account.id}:key/none")

    with pytest.raises(SettingsError, match="there is no key"):
        sandbox.deploy()
    assert sandbox.writes == []


DENIED = {"GetKeyPolicy": ("AccessDeniedException", "no")}


def test_the_policy_of_another_account_is_not_needed(sandbox: Sandbox, key: str) -> None:
    """A central key is used without reading its policy, which its account may keep to itself."""
    theirs = key.replace(sandbox.account.id, "210987654321")
    kms: Any = sandbox.account.clients.kms

    def describe(**_: object) -> tuple[AWSResponse, dict[str, Any]]:
        about = {"KeyState": "Enabled", "KeySpec": "SYMMETRIC_DEFAULT"}
        return HTTP_OK, {"KeyMetadata": about}

    kms.meta.events.register("before-call.kms.DescribeKey", describe)
    Faults(DENIED, times=None).inject(sandbox, "before-call")
    use(sandbox, theirs)

    assert pending(sandbox.plan())


def test_a_policy_that_may_not_be_read_is_an_error(sandbox: Sandbox, key: str) -> None:
    """Of a key of this account, with the right that is missing."""
    Faults(DENIED, times=None).inject(sandbox, "before-call")

    with pytest.raises(AwsError, match="GetKeyPolicy") as refused:
        sandbox.deploy()
    assert "`deploy.py policy`" in str(refused.value)


def test_who_deploys_may_make_these_calls(sandbox: Sandbox, key: str) -> None:
    """The calls about the key are in the policy that is printed for these settings."""
    made: set[tuple[str, str]] = set()

    def note(model: Any, **_: object) -> None:
        made.add((model.service_model.service_name, model.name))

    for client in vars(sandbox.account.clients).values():
        client.meta.events.register("before-call.*.*", note)
    sandbox.deploy()
    policy = deployer_policy(names_of(sandbox), sandbox.settings.organisation)
    actions = {action for each in policy["Statement"] for action in each["Action"]}

    asked = {f"kms:{name}" for service, name in made if service == "kms"}
    assert asked == {"kms:DescribeKey", "kms:GetKeyPolicy"}
    assert asked <= actions


def test_a_key_that_signs_proofs_is_named_by_reconcile_alone(sandbox: Sandbox) -> None:
    """Its role may sign by it; set later or taken out, it is an update of that function."""
    kms = sandbox.account.clients.kms
    made = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    rules = Organisation(proof_key=made["KeyMetadata"]["Arn"])
    sandbox.deploy()
    sandbox.settings = replace(sandbox.settings, organisation=rules)

    changed = [change for change in sandbox.plan() if change.action != "left"]
    assert {change.kind for change in changed} <= {"function", "role"}
    assert {change.name.rpartition("-")[2] for change in changed} == {"reconcile"}
    sandbox.deploy()

    functions = sandbox.account.clients.lambda_
    for use in ("reconcile", "load"):
        name = names_of(sandbox).function(use)
        found = functions.get_function_configuration(FunctionName=name)
        key = found["Environment"]["Variables"].get("PROOF_KEY")
        assert key == (rules.proof_key if use == "reconcile" else None)
    assert pending(sandbox.plan()) == []


def test_a_key_that_cannot_sign_is_refused_before_anything(sandbox: Sandbox, key: str) -> None:
    """A key that encrypts does not sign."""
    sandbox.settings = replace(sandbox.settings, organisation=Organisation(proof_key=key))

    with pytest.raises(SettingsError, match="PROOF_KEY: the key has to be one of ECC_NIST_P256"):
        sandbox.deploy()
    assert sandbox.writes == []
