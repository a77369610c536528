"""The removal of a deployment as a whole, against an account in this process."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from moto.s3.models import s3_backends

from deployer.configuration.settings import Settings
from deployer.errors import AwsError, CredentialsError
from deployer.inventory import ResourceId
from deployer.resources.policies import function_policy
from etl.loading import load
from tests.aws.faults import Faults
from tests.aws.removing import INGESTION, LOAD_LOGS, NAMES, outcomes, put, teardown
from tests.aws.sandbox import Sandbox, TinyPackages, everything_in, pending

# Parts of a thing, which go with it.
PARTS = {"permission", "target", "subscription"}


def test_nothing_is_left(sandbox: Sandbox) -> None:
    """All that a deployment made is removed, with its data; no service lists anything of it."""
    changes = sandbox.deploy()
    put(sandbox, "batches/source/0000000001.json", "batches/source/0000000001.json")
    sandbox.account.clients.s3.delete_object(Bucket=INGESTION, Key="batches/source/0000000001.json")

    receipt = teardown(sandbox).remove()

    assert everything_in(sandbox.account) == []
    assert receipt.is_complete
    made = {(change.kind, change.name) for change in changes if change.kind not in PARTS}
    assert {(entry.kind, entry.name) for entry in receipt.entries} == made
    assert {entry.outcome for entry in receipt.entries} == {"removed"}


def test_the_writers_go_first_and_the_logs_last(sandbox: Sandbox) -> None:
    """Nothing starts a function that is being removed, and nothing writes to an emptied bucket."""
    sandbox.start_deployed()
    sandbox.writes.clear()

    teardown(sandbox).remove()

    last = {write: number for number, write in enumerate(sandbox.writes)}
    first = {write: number for number, write in reversed(list(enumerate(sandbox.writes)))}
    assert last["DeleteRule"] < first["DeleteFunction"]
    assert last["PutBucketNotificationConfiguration"] < first["DeleteFunction"]
    assert last["DeleteFunction"] < first["DeleteRole"]
    assert last["DeleteRole"] < first["DeleteBucket"]
    assert last["DeleteBucket"] < first["DeleteLogGroup"]


def test_a_second_teardown_has_nothing_to_do(sandbox: Sandbox, sleeps: list[float]) -> None:
    """Run again, it finds everything gone, writes nothing, and is done at once."""
    sandbox.start_deployed()
    teardown(sandbox).remove()
    sandbox.writes.clear()
    sleeps.clear()

    receipt = teardown(sandbox).remove()

    assert set(outcomes(receipt)) == {"already gone"}
    assert receipt.is_complete
    assert (sandbox.writes, sleeps) == ([], [])


def test_what_is_listed_is_what_is_removed(sandbox: Sandbox) -> None:
    """The list that one is asked to agree to is what then goes, and listing changes nothing."""
    sandbox.start_deployed()
    sandbox.writes.clear()

    listed = teardown(sandbox).look()

    assert sandbox.writes == []
    removed = [ResourceId(entry.kind, entry.name) for entry in teardown(sandbox).remove().entries]
    assert listed == removed


def test_deploy_after_teardown_works_at_once(sandbox: Sandbox) -> None:
    """A rebuilt deployment is a first one: everything is created, secrets included."""
    sandbox.start_deployed()
    teardown(sandbox).remove()

    assert {change.action for change in sandbox.deploy()} == {"created"}
    assert pending(sandbox.plan()) == []


def test_the_data_may_be_kept(sandbox: Sandbox) -> None:
    """With --keep-data the buckets stay as they are, and the next deployment uses them."""
    sandbox.start_deployed()
    put(sandbox, "batches/source/0000000001.json")

    receipt = teardown(sandbox, keep_data=True).remove()

    assert receipt.is_complete
    assert outcomes(receipt)["kept"] == ["bucket"] * 3
    buckets = sandbox.account.clients.s3.list_buckets()["Buckets"]
    assert everything_in(sandbox.account) == [bucket["Name"] for bucket in buckets]
    assert sandbox.account.clients.s3.list_objects_v2(Bucket=INGESTION)["KeyCount"] == 1
    assert {c.action for c in sandbox.deploy() if c.kind == "bucket"} == {"left"}


@pytest.mark.parametrize(("project", "stage"), [("totesys-etl", "dev2"), ("totesys-etl-dev", "x")])
def test_neighbours_survive(
    sandbox: Sandbox, settings: Settings, tmp_path: Path, project: str, stage: str
) -> None:
    """A name that only begins like one of ours belongs to somebody else and is not touched."""
    sandbox.start_deployed()
    theirs = replace(settings, project=project, stage=stage)
    neighbour = Sandbox(sandbox.account, theirs, TinyPackages(tmp_path))
    neighbour.deploy()
    sandbox.account.clients.logs.create_log_group(logGroupName=f"{LOAD_LOGS}-old")

    assert teardown(sandbox).remove().is_complete

    assert pending(neighbour.plan()) == []
    groups = sandbox.account.clients.logs.describe_log_groups(logGroupNamePrefix=f"{LOAD_LOGS}-")
    assert [group["logGroupName"] for group in groups["logGroups"]] == [f"{LOAD_LOGS}-old"]


def test_a_half_made_deployment_is_removed(sandbox: Sandbox) -> None:
    """After a deployment that failed, the receipt shows what was removed and what never was."""
    Faults({"CreateFunction": ("CodeStorageExceededException", "Full.")}, None).inject(
        sandbox, "before-call"
    )
    with pytest.raises(AwsError):
        sandbox.deploy()

    receipt = teardown(sandbox).remove()

    assert receipt.is_complete
    assert everything_in(sandbox.account) == []
    gone = outcomes(receipt)["already gone"]
    # The alarms of silence come after the functions.
    assert sorted(set(gone)) == ["alarm", "dashboard", "function", "notification", "rule"]


def test_a_full_bucket_is_emptied(sandbox: Sandbox) -> None:
    """2,500 versions and delete markers go in three calls of at most 1,000."""
    sandbox.start_deployed()
    backend = s3_backends["123456789012"]["aws"]
    for number in range(1_200):
        for version in (b"first", b"second"):
            backend.put_object(INGESTION, f"extract/{number}", version)
    for number in range(100):
        backend.delete_object(INGESTION, f"extract/{number}")
    sandbox.writes.clear()

    assert teardown(sandbox).remove().is_complete

    # One more call empties the bucket of the layers.
    assert sandbox.writes.count("DeleteObjects") == 3 + 1


def test_what_is_refused_stays_and_the_rest_goes(sandbox: Sandbox) -> None:
    """Every refusal is in the receipt with its reason, and stops nothing else."""
    sandbox.start_deployed()
    no = ("AccessDenied", "User: arn:aws:iam::123456789012:user/me is not authorized.")
    faults = Faults({"DeleteQueue": no, "DeleteBucket": no}, times=None)
    faults.inject(sandbox, "before-call")

    receipt = teardown(sandbox).remove()

    assert not receipt.is_complete
    assert {entry.name: entry.why for entry in receipt.entries if entry.why} == {
        f"totesys-etl-dev-123456789012-eu-west-2-{use}": (
            f"bucket totesys-etl-dev-123456789012-eu-west-2-{use}: DeleteBucket answered "
            "AccessDenied: User: arn:aws:iam::123456789012:user/me is not authorized. "
            "`deploy.py policy` prints all permissions that are needed. Ask for this permission, "
            "then run again."
        )
        for use in ("ingestion", "processed", "code")
    } | {
        "totesys-etl-dev-failed-events": (
            "queue totesys-etl-dev-failed-events: DeleteQueue answered AccessDenied: User: "
            "arn:aws:iam::123456789012:user/me is not authorized. `deploy.py policy` "
            "prints all permissions that are needed. Ask for this permission, then run again."
        )
    }
    kinds = outcomes(receipt)
    assert (kinds["stays"], "bucket" in kinds["removed"]) == (["queue", *["bucket"] * 3], False)


def test_what_cannot_be_looked_at_is_not_taken_for_gone(sandbox: Sandbox) -> None:
    """A refused look is listed before, and reported after: only what was seen to be gone is."""
    no = ("AccessDenied", "Not authorized.")
    Faults({"GetQueueUrl": no, "GetResources": no}, times=None).inject(sandbox, "before-call")

    assert {thing.kind for thing in teardown(sandbox).look()} == {"queue"}
    receipt = teardown(sandbox).remove()

    assert outcomes(receipt)["stays"] == ["queue", "queue", "queue", "tags"]


@pytest.mark.parametrize("call", ["GetQueueUrl", "DeleteFunction"])
def test_credentials_that_expire_end_it_at_once(sandbox: Sandbox, call: str) -> None:
    """Expired credentials are one line, while looking as while removing, not thirty refusals."""
    sandbox.start_deployed()
    expired = ("ExpiredTokenException", "The security token included in the request is expired")
    Faults({call: expired}, times=None).inject(sandbox, "before-call")
    ours = teardown(sandbox)

    with pytest.raises(
        CredentialsError, match="They have expired, and the sandbox may have expired too"
    ):
        ours.look() and ours.remove()


def test_what_has_our_tags_is_ours_by_any_name(sandbox: Sandbox) -> None:
    """A thing that an earlier version named otherwise is found by its tags and removed."""
    tags = {"project": "totesys-etl", "stage": "dev", "managed-by": "source-to-warehouse"}
    sqs = sandbox.account.clients.sqs
    sqs.create_queue(QueueName="dead-letters", tags=tags)
    sqs.create_queue(QueueName="theirs", tags={**tags, "stage": "prod"})

    receipt = teardown(sandbox).remove()

    assert [(e.kind, e.name) for e in receipt.entries if e.outcome == "removed"] == [
        ("queue", "dead-letters")
    ]
    assert [url.rpartition("/")[2] for url in sqs.list_queues()["QueueUrls"]] == ["theirs"]


def test_a_role_goes_with_all_its_policies(sandbox: Sandbox) -> None:
    """Policies that somebody attached to a role of ours do not keep it."""
    sandbox.start_deployed()
    iam, role = sandbox.account.clients.iam, "totesys-etl-dev-eu-west-2-load"
    document = json.dumps(function_policy("load", NAMES, load("totesys")))
    for number in range(12):
        iam.put_role_policy(RoleName=role, PolicyName=f"p{number}", PolicyDocument=document)
        made = iam.create_policy(PolicyName=f"p{number}", PolicyDocument=document)["Policy"]
        iam.attach_role_policy(RoleName=role, PolicyArn=made["Arn"])

    assert teardown(sandbox).remove().is_complete
    assert [role["RoleName"] for role in iam.list_roles()["Roles"]] == []


def test_a_secret_that_waits_for_its_deletion_goes_at_once(sandbox: Sandbox) -> None:
    """A secret that somebody removed by hand does not block its name for 30 days."""
    sandbox.start_deployed()
    sandbox.account.clients.secrets.delete_secret(SecretId="totesys-etl/dev/source")

    receipt = teardown(sandbox).remove()

    assert outcomes(receipt)["removed"].count("secret") == 2
