"""`deploy.py doctor` on this machine: databases looked at from here, then by the functions."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import pytest

import deploy
from deployer.aws.account import connect as connect_to_aws
from deployer.configuration.settings import Settings
from deployer.resources.names import FunctionUse
from local.connection import connect
from local.databases import READER
from local.emulator import Emulator
from tests.aws.sandbox import Sandbox, TinyPackages
from tests.pipeline.test_selfcheck import WELL
from tests.postgres_fixtures import Source, Warehouse

Doctor = Callable[[], tuple[int, dict[str, tuple[str, str]]]]


@pytest.fixture
def source(new_source: Callable[..., Source]) -> Source:
    return new_source(0)


@pytest.fixture
def environment(
    local_aws: Emulator, source: Source, new_warehouse: Callable[[], Warehouse]
) -> Mapping[str, str]:
    """The settings of a deployment into a separate account."""
    return {
        **local_aws.environment,
        "AWS_ACCESS_KEY_ID": f"{uuid4().int % 10**12:012}",
        "SOURCE_DATABASE_URL": source.reader_url,
        "WAREHOUSE_DATABASE_URL": new_warehouse().loader_url,
    }


@pytest.fixture
def doctor(
    environment: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Doctor:
    """Return a function that runs the command: exit status, and state and text of each line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(environment))

    def run() -> tuple[int, dict[str, tuple[str, str]]]:
        status = deploy.main(["doctor", "--json"])
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert document["ok"] == (status == 0)
        found = document["findings"]
        return status, {each["what"]: (each["state"], each["detail"]) for each in found}

    return run


def test_before_a_deployment_the_databases_are_looked_at_from_here(doctor: Doctor) -> None:
    """All is in order, exit status 0, and each line says that it is not yet from Lambda."""
    status, found = doctor()

    assert status == 0
    assert found["deployment"] == ("unknown", "there is none yet")
    assert found["source source"] == (
        "ok",
        "11 tables can be read (from this machine, not yet from Lambda)",
    )
    assert found["target warehouse"][0] == "ok"
    assert found["account"][0] == "ok"
    assert found["clock"][0] == "ok"


def test_what_a_database_lacks_is_to_be_done(doctor: Doctor, source: Source) -> None:
    """The right to ask for is named; the exit status shows a program that there is something."""
    with connect(source.superuser_url) as connection:
        connection.run(f"REVOKE SELECT ON staff FROM {READER}")
    os.environ["WAREHOUSE_DATABASE_URL"] = "postgresql://loader:s3cret@127.0.0.1:1/warehouse"

    status, found = doctor()

    assert status == 1
    assert found["source source"][0] == "to do"
    assert "GRANT SELECT ON staff" in found["source source"][1]
    assert found["target warehouse"][0] == "to do"
    assert "cannot be reached" in found["target warehouse"][1]
    assert "s3cret" not in json.dumps(found)


def test_a_private_database_out_of_reach_is_not_known(doctor: Doctor) -> None:
    """Whoever deploys may be outside its network: the deployment checks it from inside."""
    os.environ |= {
        "WAREHOUSE_DATABASE_URL": "postgresql://loader:s3cret@127.0.0.1:1/warehouse",
        "SUBNET_IDS": "subnet-0123456789abcdef0",
        "SECURITY_GROUP_IDS": "sg-0123456789abcdef0",
    }

    _, found = doctor()  # the local AWS has no such subnet

    assert found["source source"][0] == "ok"
    assert found["target warehouse"][0] == "unknown"


def test_a_database_that_functions_alone_may_log_in_to_is_not_known(doctor: Doctor) -> None:
    """Neither is somebody else's secret read here, nor a token of IAM made."""
    os.environ |= {
        "SOURCE_DATABASE_URL": "postgresql://reader@db.example.com/shop?auth=iam",
        "WAREHOUSE_DATABASE_URL": "arn:aws:secretsmanager:eu-west-2:123456789012:secret:rds-AbCdEf",
        "WAREHOUSE_DATABASE_ADDRESS": "postgresql://db.example.com/warehouse",
    }

    status, found = doctor()

    assert status == 0
    assert found["source source"][0] == "unknown"
    assert found["target warehouse"] == ("unknown", "its secret is for the functions alone")


def test_without_credentials_the_databases_are_still_looked_at(doctor: Doctor) -> None:
    """That there are none is said, with what to set."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]

    status, found = doctor()

    assert status == 1
    assert found["account"][0] == "to do"
    assert "AWS_REGION" in found["account"][1]
    assert found["source source"][0] == "ok"


def test_after_a_deployment_the_functions_look(
    doctor: Doctor, environment: Mapping[str, str], tmp_path: Path
) -> None:
    """What each finds is a line, from inside Lambda; a schedule that is off is to be done."""
    packages = TinyPackages(tmp_path)
    packages.code = dict.fromkeys(get_args(FunctionUse), WELL)
    aws = connect_to_aws(environment)
    sandbox = Sandbox(aws, Settings.read(environment), packages)
    sandbox.deploy()
    status, found = doctor()
    assert (status, found["load: secret"][0]) == (0, "ok")
    assert "source source" not in found

    aws.clients.events.disable_rule(Name="totesys-etl-dev-load-schedule")
    aws.clients.lambda_.delete_function(FunctionName="totesys-etl-dev-page")
    status, found = doctor()

    assert status == 1
    assert found["schedule load-schedule"] == ("to do", "is switched off")
    assert found["page: start"] == ("to do", "does not exist")
