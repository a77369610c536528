"""The local AWS: closed to everybody else, strict about rights, and gone when it is stopped."""

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.errors import InstallError
from local import emulator as emulators
from local import ministack, processes
from local.emulator import ACCOUNT, REGION, RUNS_AT_A_TIME, Emulator, EmulatorError
from local.ministack import install_ministack
from local.processes import HOST, PortError
from tests.pipeline.ground import wait_until
from tests.pipeline.local_function import BUCKET, client, function, invoke, packed
from tests.pipeline.local_process import running, somebodys_folder

REAL = {
    "AWS_PROFILE": "real-account",
    "AWS_SESSION_TOKEN": "real-token",
    "HTTP_PROXY": "http://127.0.0.1:9",
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Emulator]:
    """A local AWS, started from a shell that is set up for a real account."""
    with somebodys_folder() as folder, pytest.MonkeyPatch.context() as shell:
        for name, value in REAL.items():
            shell.setenv(name, value)
        with Emulator(folder / "aws") as emulator:
            yield emulator


@pytest.fixture
def aws(shared: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The local AWS, and a process that has its settings over those of a real account."""
    enter(shared, monkeypatch)
    return shared


@pytest.fixture(scope="module")
def sparing() -> Iterator[Emulator]:
    """A local AWS that runs functions sparingly."""
    with somebodys_folder() as folder, Emulator(folder / "aws", sparingly=True) as emulator:
        yield emulator


def enter(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process the settings of a local AWS."""
    for name, value in {**REAL, **emulator.environment}.items():
        monkeypatch.setenv(name, value)


def test_boto3_acts_in_the_local_account_only(aws: Emulator) -> None:
    """A profile, a token or a proxy of the user's own is neither used nor in the way."""
    assert client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_nobody_else_on_the_network_reaches_it(aws: Emulator) -> None:
    """It answers at 127.0.0.1 and at no other address of this machine."""
    with socket.socket() as outside:
        outside.settimeout(2)
        assert outside.connect_ex(("127.0.0.2", aws.port)) != 0


def test_a_function_has_the_rights_of_its_role_and_no_more(aws: Emulator) -> None:
    """Least privilege is tried here as on AWS: what the role does not name is refused."""
    function()
    assert isinstance(invoke(bucket=BUCKET, key="own/1"), dict)
    assert invoke(bucket=BUCKET, key="other/1") == "AccessDenied"


def test_a_function_sees_nothing_of_the_users_environment(aws: Emulator) -> None:
    """No profile or token of the user's reaches a function, and it writes in our directory."""
    seen = invoke(bucket=BUCKET, key="own/2")
    assert [name for name, value in seen.items() if "real" in value] == []
    assert (seen["HOME"], seen["TMPDIR"]) == (str(aws.directory), str(aws.directory / "tmp"))
    assert seen["AWS_ENDPOINT_URL"] == aws.endpoint


def test_many_events_at_once_do_not_fill_the_machine(aws: Emulator) -> None:
    """A thousand files may be dropped at once: only so many of the functions run at a time."""
    limits = client("lambda").get_account_settings()["AccountLimit"]

    assert limits["ConcurrentExecutions"] == RUNS_AT_A_TIME


def test_functions_that_run_sparingly_share_a_process(
    sparing: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that come at once are handled one after the other, in the same process."""
    enter(sparing, monkeypatch)
    keys = ["own/1", "own/2", "own/3"]
    for key in keys:
        event = {"bucket": BUCKET, "key": key, "seconds": 0.3}
        client("lambda").invoke(
            FunctionName=function(), InvocationType="Event", Payload=json.dumps(event)
        )
    s3 = client("s3")
    wait_until(lambda: s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == len(keys), "all have run")
    processes = {s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    assert len(processes) == 1


def test_messages_come_in_whole_batches(sparing: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of a queue that were sent within its window are one run, as on AWS."""
    enter(sparing, monkeypatch)
    nothing = packed("def handler(event, context): pass")
    client("lambda").update_function_code(FunctionName=function(), ZipFile=nothing)
    sqs = client("sqs")
    url = sqs.create_queue(QueueName="events")["QueueUrl"]
    entries = [{"Id": str(number), "MessageBody": "event"} for number in range(10)]
    for _ in range(3):
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
    client("lambda").create_event_source_mapping(
        EventSourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:events",
        FunctionName="a-function",
        BatchSize=100,
        MaximumBatchingWindowInSeconds=1,
    )
    wait_until(lambda: "SQS messages" in sparing.log.read_text(), "the function has run")
    runs = re.findall(r"processed (\d+) SQS messages", sparing.log.read_text())

    assert runs == ["30"]


def test_state_outlasts_a_stop(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second start finds buckets, objects, roles and functions as they were."""
    for key in ("own/before", "own/after"):
        with Emulator(folder / "aws") as emulator:
            enter(emulator, monkeypatch)
            invoke(bucket=BUCKET, key=key)
            listed = client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert {"own/before", "own/after"} <= {entry["Key"] for entry in listed}


def test_a_stop_ends_functions_that_are_still_running(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes on in the background after Ctrl-C, and nothing is left unpacked."""
    with Emulator(folder / "aws") as emulator:
        enter(emulator, monkeypatch)
        event = {"bucket": BUCKET, "key": f"own/{time.time()}", "seconds": 50}
        client("lambda").invoke(
            FunctionName=function(), InvocationType="Event", Payload=json.dumps(event)
        )
        s3 = client("s3")
        mark = {"Bucket": BUCKET, "Prefix": event["key"]}
        wait_until(lambda: s3.list_objects_v2(**mark)["KeyCount"], "the function is running")
        worker = s3.get_object(Bucket=BUCKET, Key=event["key"])["Body"].read().decode()
        assert running(pid=worker) != []
    wait_until(lambda: not running(pid=worker), "the function has ended")
    assert not (folder / "aws" / "tmp").exists()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """Whose port is taken reads which one, and what to do."""
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortError) as error:
            Emulator(tmp_path, port).start()
    assert str(error.value) == (
        f"port {port} is taken (Address already in use): stop what uses it, or choose another"
    )


def test_one_directory_serves_one_emulator(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second start in the same directory is refused before it can damage the state."""
    monkeypatch.setattr(processes, "FREE_SECONDS", 0.1)
    directory = aws.directory
    with pytest.raises(EmulatorError) as error:
        Emulator(directory).start()
    assert str(error.value) == (
        f"Another local AWS is running in {directory}. Stop it with Ctrl-C where it was started "
        f"(or `kill {(directory / 'lock').read_text()}`), or use another directory (--dir)."
    )
    assert client("sts").get_caller_identity()["Account"] == ACCOUNT


def test_an_emulator_that_ends_at_once_points_to_its_log(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When ministack itself fails, the message says where its reason is written."""
    broken = folder / "python"
    broken.write_text("#!/bin/sh\necho out of luck\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(emulators, "install_ministack", lambda: broken)
    emulator = Emulator(folder / "aws")
    with pytest.raises(EmulatorError) as error:
        emulator.start()
    assert str(error.value) == f"The local AWS ended. Its log says why: {emulator.log}"
    assert emulator.log.read_text() == "out of luck\n"


def test_a_half_made_environment_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an installation that broke off, the next one starts afresh."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/local-aws.txt").write_text("")

    def broken(*_: object, **__: object) -> None:
        raise InstallError("no network")

    monkeypatch.setattr(ministack, "install", broken)
    with pytest.raises(InstallError, match="no network"):
        install_ministack(tmp_path)
    assert list((tmp_path / ".build").iterdir()) == []
    monkeypatch.setattr(ministack, "install", lambda *_, **__: None)
    assert install_ministack(tmp_path).exists()
