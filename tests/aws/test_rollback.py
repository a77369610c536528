"""A rollback puts back what was deployed before, or says why it cannot and changes nothing."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.model import OperationModel

from deployer import records
from deployer.configuration.network import Network
from deployer.configuration.organisation import Organisation
from deployer.configuration.settings import Settings
from deployer.errors import DeployError, OperationError
from deployer.resources.resource_policies import trust_policy
from deployer.rollback import Rollback, RolledBack
from etl.product import LOG_FORM
from tests.aws.conftest import HTTP_OK
from tests.aws.removing import NAMES, teardown
from tests.aws.sandbox import Sandbox, everything_in, pending
from tests.aws.test_encryption import a_key
from tests.unit.test_key_policies import ACCOUNT, CLOUDWATCH, LOGS

CODE = NAMES.bucket("code")
ATTRIBUTES = ("CodeSha256", "Handler", "Runtime", "MemorySize", "Timeout", "Environment", "Layers")


def roll_back(sandbox: Sandbox) -> RolledBack:
    return Rollback(sandbox.account, NAMES, sandbox.events.append).roll_back()


def running(sandbox: Sandbox) -> dict[str, Any]:
    """Return what each function is, with its rights."""
    clients = sandbox.account.clients
    return {
        each["FunctionName"]: [each.get(name) for name in ATTRIBUTES]
        + [
            clients.iam.get_role_policy(
                RoleName=each["Role"].rpartition("/")[2], PolicyName="least-privilege"
            )["PolicyDocument"]
        ]
        for each in clients.lambda_.list_functions()["Functions"]
    }


def objects(sandbox: Sandbox) -> list[str]:
    listed = sandbox.account.clients.s3.list_objects_v2(Bucket=CODE, Prefix="deployments/")
    return [entry["Key"] for entry in listed["Contents"]]


def layer_versions(sandbox: Sandbox, layer: str) -> list[int]:
    listed = sandbox.account.clients.lambda_.list_layer_versions(LayerName=NAMES.layer(layer))
    return [version["Version"] for version in listed["LayerVersions"]]


def change(sandbox: Sandbox, number: int = 2) -> None:
    """Change code, a layer, a setting and with it the rights of two functions."""
    sandbox.packages.code["load"] = f"NUMBER = {number}\n"
    sandbox.packages.locks["pandas"] = f"lock {number}"
    sandbox.settings = Settings.read(
        {
            "SOURCE_DATABASE_URL": "postgresql://reader:one@db.example.com/totesys",
            "WAREHOUSE_DATABASE_URL": "postgresql://loader:one@db.example.com/warehouse",
            "WAREHOUSE_SCHEMA": f"schema_{number}",
            "NOTIFY": "every-batch" if number == 2 else "failures",
            "ALERT_EMAIL": "team@example.com",
        }
    )


def fail_at(sandbox: Sandbox, operation: str, nth: int = 1) -> Any:
    """Let the nth call of an operation fail; return what stops that."""
    calls = []

    def refuse(model: OperationModel, **_: object) -> None:
        if model.name == operation:
            calls.append(model.name)
            if len(calls) == nth:
                raise ClientError({"Error": {"Code": "Broken", "Message": ""}}, model.name)

    events = sandbox.account.clients.lambda_.meta.events
    events.register("before-call.*.*", refuse)
    return lambda: events.unregister("before-call.*.*", refuse)


def test_what_was_deployed_before_runs_again(sandbox: Sandbox) -> None:
    """Code, layers, settings and rights are those from before; `plan` says how that came about."""
    sandbox.start_deployed()
    first = running(sandbox)
    change(sandbox)
    sandbox.deploy()
    assert running(sandbox) != first

    done = roll_back(sandbox)

    assert running(sandbox) == first
    assert {(each.kind, each.name) for each in done.changes if each.action == "updated"} == {
        ("role", NAMES.role("load")),
        *(("function", NAMES.function(use)) for use in ("load", "transform", "reconcile", "page")),
    }
    [planned] = [each for each in sandbox.plan() if each.kind == "deployment"]
    before, after = planned.differences["code"]
    led = f"of {done.led_to}, to which a rollback led from that of {done.led_from} at 2"
    assert str(before).startswith(led)
    assert after == "of this folder"


def test_a_deployment_after_a_rollback_leads_forward(sandbox: Sandbox) -> None:
    """It deploys what is in the folder, reports that it undoes the rollback, and is in sync."""
    sandbox.start_deployed()
    change(sandbox)
    sandbox.deploy()
    second = running(sandbox)
    roll_back(sandbox)

    assert "deployment" in [each.kind for each in sandbox.deploy()]

    assert running(sandbox) == second
    assert pending(sandbox.plan()) == []


def test_a_second_rollback_leads_back_to_where_the_first_began(sandbox: Sandbox) -> None:
    """And a third to where the second began; the bucket keeps these two deployments."""
    sandbox.start_deployed()
    for number in (2, 3):
        change(sandbox, number)
        before = running(sandbox)
        sandbox.deploy()
    newest = running(sandbox)

    seen = []
    for _ in range(3):
        roll_back(sandbox)
        seen.append(running(sandbox))

    assert seen == [before, newest, before]
    assert len(objects(sandbox)) == 4
    assert layer_versions(sandbox, "pandas") == [3, 2]


def test_of_a_deployment_that_failed_half_way_nothing_stays(sandbox: Sandbox) -> None:
    """The last deployment that was completed runs again, and not the one before it."""
    sandbox.start_deployed()
    sandbox.packages.code["extract"] = "SECOND = True\n"
    sandbox.deploy()
    second = running(sandbox)
    change(sandbox, 3)
    heal = fail_at(sandbox, "UpdateFunctionCode")
    with pytest.raises(DeployError):
        sandbox.deploy()
    heal()

    done = roll_back(sandbox)

    assert running(sandbox) == second
    assert done.led_from is None


def test_a_deployment_whose_functions_do_not_work_is_no_way_back(sandbox: Sandbox) -> None:
    """However often it was tried: the last one that worked runs again."""
    sandbox.start_deployed()
    first = running(sandbox)
    for number in (2, 3):
        change(sandbox, number)
        sandbox.deployer().deploy()  # its check fails, as moto runs no function

    done = roll_back(sandbox)

    assert running(sandbox) == first
    assert done.led_from is None


def test_a_rollback_that_failed_half_way_is_completed(sandbox: Sandbox) -> None:
    """Running it again goes on in the same direction."""
    sandbox.start_deployed()
    first = running(sandbox)
    change(sandbox)
    sandbox.packages.code["page"] = "SECOND = True\n"
    sandbox.deploy()
    heal = fail_at(sandbox, "UpdateFunctionCode", 2)
    with pytest.raises(DeployError):
        roll_back(sandbox)
    heal()

    roll_back(sandbox)

    assert running(sandbox) == first


def test_what_was_changed_by_hand_does_not_mislead(sandbox: Sandbox) -> None:
    """More memory in an emergency is no deployment: the rollback goes to the one before."""
    sandbox.start_deployed()
    first = running(sandbox)
    change(sandbox)
    sandbox.deploy()
    sandbox.account.clients.lambda_.update_function_configuration(
        FunctionName=NAMES.function("load"), MemorySize=3008
    )

    roll_back(sandbox)

    assert running(sandbox) == first


def test_a_network_is_put_back_as_the_function_had_it(sandbox: Sandbox) -> None:
    """Subnets and groups are part of what was deployed."""
    network = Network(("subnet-0a1b2c3d", "subnet-1a1b2c3d"), ("sg-0a1b2c3d",))
    sandbox.start_deployed()
    first = records.newest(sandbox.account, NAMES)
    assert first is not None
    function = first.function(NAMES.function("load"), b"", "AROA", {})

    recorded = json.loads(json.dumps(asdict(replace(function, network=network)), default=str))
    again = replace(first, functions={function.name: recorded | {"sha256": "", "policy": None}})

    assert again.function(function.name, b"", "AROA", {}).network == network


def test_a_role_that_is_not_ours_keeps_its_policy(sandbox: Sandbox) -> None:
    """Whoever owns it decides about its rights; functions run as it again."""
    iam = sandbox.account.clients.iam
    trust = json.dumps(trust_policy(NAMES))
    theirs = iam.create_role(RoleName="team-loads", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    with_role = replace(sandbox.settings, organisation=Organisation(roles={"load": theirs}))
    sandbox.settings = with_role
    sandbox.deploy()
    sandbox.packages.code["load"] = "SECOND = True\n"
    sandbox.deploy()

    done = roll_back(sandbox)

    assert iam.list_role_policies(RoleName="team-loads")["PolicyNames"] == []
    assert "team-loads" not in [each.name for each in done.changes]
    load = sandbox.account.clients.lambda_.get_function(FunctionName=NAMES.function("load"))
    assert load["Configuration"]["Role"] == theirs


def refused(sandbox: Sandbox) -> str:
    """Return why a rollback is refused, which changes nothing."""
    before = running(sandbox)
    sandbox.writes.clear()
    with pytest.raises(OperationError) as failure:
        roll_back(sandbox)
    assert running(sandbox) == before
    assert sandbox.writes == []
    return str(failure.value)


def test_without_a_deployment_before_there_is_no_way_back(sandbox: Sandbox) -> None:
    """Nor without any: the message says what to do instead."""
    assert "no deployment of totesys-etl-dev is recorded" in refused(sandbox)
    sandbox.deploy()
    assert "there is no record of a deployment before" in refused(sandbox)


@pytest.mark.parametrize("bucket", ["ingestion", "processed"])
def test_code_that_would_misread_the_log_is_not_put_back(
    sandbox: Sandbox, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the newer code has written decides: until it has written, the way back is open."""
    sandbox.start_deployed()
    change(sandbox)
    monkeypatch.setattr("deployer.records.LOG_FORM", newer := LOG_FORM + 1)
    sandbox.deploy()
    name = NAMES.bucket("ingestion" if bucket == "ingestion" else "processed")
    for batch, form in enumerate((None, newer), start=1):
        sandbox.account.clients.s3.put_object(
            Bucket=name,
            Key=f"batches/source/{batch:010d}.json",
            Body=json.dumps({"batch": batch, **({"form": form} if form else {})}),
        )

    assert f"s3://{name}/batches/source/ has form {newer}" in refused(sandbox)


def test_a_rollback_passes_over_logs_that_it_can_read(sandbox: Sandbox) -> None:
    """A manifest without a form has the first one."""
    sandbox.start_deployed()
    change(sandbox)
    sandbox.deploy()
    sandbox.account.clients.s3.put_object(
        Bucket=NAMES.bucket("ingestion"), Key="batches/source/0000000001.json", Body="{}"
    )

    assert pending(roll_back(sandbox).changes)


def test_only_code_that_was_deployed_is_put_back(sandbox: Sandbox) -> None:
    """Who may write to the code bucket, and no more, gets no code into a function."""
    sandbox.start_deployed()
    change(sandbox)
    sandbox.deploy()
    s3 = sandbox.account.clients.s3
    for key in objects(sandbox):
        if key.endswith(".zip"):
            s3.put_object(Bucket=CODE, Key=key, Body=b"PK\x05\x06" + bytes(18))
    assert "is not the code that was deployed" in refused(sandbox)

    for key in objects(sandbox):
        if key.endswith(".json"):
            s3.put_object(Bucket=CODE, Key=key, Body=b"{}")
    assert "no deployment of totesys-etl-dev is recorded" in refused(sandbox)


def test_a_layer_that_is_gone_is_named(sandbox: Sandbox) -> None:
    """Somebody removed the version that the older code needs."""
    sandbox.start_deployed()
    change(sandbox)
    sandbox.deploy()
    sandbox.account.clients.lambda_.delete_layer_version(
        LayerName=NAMES.layer("pandas"), VersionNumber=1
    )

    assert "totesys-etl-dev-pandas:1 is gone" in refused(sandbox)


def test_a_deployment_from_before_the_key_is_not_put_back(sandbox: Sandbox) -> None:
    """Its roles may not use the key, and what was written since would be unreadable to them."""
    sandbox.start_deployed()
    key = a_key(sandbox.account, ACCOUNT, CLOUDWATCH, LOGS)
    sandbox.settings = replace(sandbox.settings, organisation=Organisation(kms_key=key))
    logs: Any = sandbox.account.clients.logs  # moto does not know this call
    logs.meta.events.register("before-call.logs.AssociateKmsKey", lambda **_: (HTTP_OK, {}))
    sandbox.deploy()

    assert f"what is in the buckets is encrypted by {key}" in refused(sandbox)


def test_a_rollback_between_deployments_with_a_key_is_made(sandbox: Sandbox) -> None:
    """The roles of both may use it."""
    key = a_key(sandbox.account, ACCOUNT, CLOUDWATCH, LOGS)
    sandbox.settings = replace(sandbox.settings, organisation=Organisation(kms_key=key))
    sandbox.deploy()
    first = running(sandbox)
    sandbox.packages.code["load"] = "SECOND = True\n"
    sandbox.deploy()

    roll_back(sandbox)

    assert running(sandbox) == first


@pytest.mark.parametrize("for_good", [{"ForceDeleteWithoutRecovery": True}, {}])
def test_a_secret_that_is_gone_is_named(sandbox: Sandbox, for_good: dict[str, bool]) -> None:
    """The older functions would find no address; nor is one readable that waits to be deleted."""
    sandbox.start_deployed()
    change(sandbox)
    sandbox.deploy()
    name = NAMES.secret("source")
    sandbox.account.clients.secrets.delete_secret(SecretId=name, **for_good)

    assert f"secret {name} is gone" in refused(sandbox)


def test_a_teardown_removes_the_records_too(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left after deployments and rollbacks."""
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 0)
    sandbox.start_deployed()
    change(sandbox)
    sandbox.deploy()
    roll_back(sandbox)

    assert teardown(sandbox).remove().is_complete
    assert everything_in(sandbox.account) == []
