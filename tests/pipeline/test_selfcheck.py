"""What deployed functions find out about what they need, each under its own role."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from uuid import uuid4

import pytest

from deployer.aws.account import connect as connect_to_aws
from deployer.configuration.settings import Settings
from deployer.errors import OperationError
from deployer.resources.names import FunctionUse, Names
from deployer.resources.specs import functions
from functions.common import selfcheck
from functions.load import handler as load_handler
from local.connection import connect
from local.databases import READER
from local.emulator import Emulator
from tests.aws.sandbox import Sandbox, TinyPackages
from tests.pipeline.conftest import Context
from tests.pipeline.roles import Roles, deployed
from tests.pipeline.zipster_scene import Zipcodes, zipcodes_on
from tests.postgres_fixtures import Source, Warehouse

__all__ = ["zipcodes_on"]

TOKEN = "x" * 32
WELL = """
def handler(event, context):
    is_check = event == {"check": True}
    return {"checks": [{"what": "secret", "ok": is_check, "detail": "", "next": ""}]}
"""


@dataclass(frozen=True)
class Scene:
    """The functions under their roles, and the superusers of both databases."""

    roles: Roles
    superusers: Mapping[str, str]

    @property
    def names(self) -> Names:
        return self.roles.names

    def found(self, use: FunctionUse) -> dict[str, tuple[bool, str]]:
        """Return what a function finds: by what it looked at, whether it is well, and the text."""
        checks = self.roles.run(use, {"check": True})["checks"]
        return {each["what"]: (each["ok"], f"{each['detail']}: {each['next']}") for each in checks}

    def wrong(self, use: FunctionUse) -> dict[str, str]:
        """Return only what is not well."""
        return {what: text for what, (ok, text) in self.found(use).items() if not ok}

    def run(self, database: str, *statements: str) -> None:
        """Run statements as the superuser of the source or the warehouse."""
        with connect(self.superusers[database]) as connection:
            for statement in statements:
                connection.run(statement)


@pytest.fixture
def scene(
    local_aws: Emulator,
    new_source: Callable[..., Source],
    new_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Scene:
    """A deployment between a shop and a prepared warehouse, in its own account."""
    source, warehouse = new_source(0), new_warehouse()
    settings = Settings.read(
        {
            "SOURCE_DATABASE_URL": source.reader_url,
            "WAREHOUSE_DATABASE_URL": warehouse.loader_url,
            "EXTRACT_SCHEDULE": "rate(100 days)",
            "LOAD_SCHEDULE": "rate(100 days)",
            "NOTIFY": "steps",
            "REPORTS_TOKEN": TOKEN,
            "LAKE": "iceberg",
        }
    )
    account = f"{uuid4().int % 10**12:012}"  # the local AWS has one for each such key
    environment = {**local_aws.environment, "AWS_ACCESS_KEY_ID": account}
    superusers = {"source": source.superuser_url, "warehouse": warehouse.superuser_url}
    return Scene(deployed(settings, environment, monkeypatch, tmp_path), superusers)


def test_a_fresh_deployment_is_well_and_says_what_it_reaches(scene: Scene) -> None:
    """Each function looks at its buckets, secrets, databases and topic, and finds no fault."""
    uses = [spec.use for spec in functions(scene.roles.settings)]

    assert {use: scene.wrong(use) for use in uses} == {use: {} for use in uses}
    assert set(scene.found("extract")) == {
        "secret totesys-etl/dev/source",
        "topic totesys-etl-dev-alerts",
        f"bucket {scene.names.bucket('ingestion')}",
        "source source",
    }
    assert "11 tables can be read" in scene.found("extract")["source source"][1]
    assert "tables can be loaded" in scene.found("load")["target warehouse"][1]
    assert "target tables can be made" in scene.found("transform")["functions of the pipeline"][1]


def test_a_check_leaves_no_trace(scene: Scene) -> None:
    """It writes no object, and no batch, marker or page is made."""
    for spec in functions(scene.roles.settings):
        scene.found(spec.use)

    s3 = scene.roles.account.clients.s3
    for use in ("ingestion", "processed"):
        assert s3.list_objects_v2(Bucket=scene.names.bucket(use)).get("KeyCount", 0) == 0


def test_a_source_that_may_not_be_read_names_table_and_grant(scene: Scene) -> None:
    """Extract and reconcile both say which right to ask for; nobody else minds."""
    scene.run("source", f"REVOKE SELECT ON staff FROM {READER}")

    said = {
        "source source": "table staff: no right to read it: GRANT SELECT ON staff to this role: "
    }
    assert scene.wrong("extract") == said
    assert scene.wrong("reconcile") == said
    assert scene.wrong("load") == {}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "REVOKE INSERT ON dim_staff FROM warehouse_loader",
            "no right to INSERT on public.dim_staff",
        ),
        (
            "REVOKE USAGE ON SCHEMA public FROM PUBLIC, warehouse_loader",
            "permission denied for schema",
        ),
        ("DROP TABLE dim_staff CASCADE", "table dim_staff is not in schema public"),
    ],
)
def test_a_warehouse_that_cannot_be_loaded_says_why(
    scene: Scene, statement: str, said: str
) -> None:
    """As load itself would say in the night."""
    scene.run("warehouse", statement)

    assert said in scene.wrong("load")["target warehouse"]


def test_a_missing_grant_a_secret_and_a_bucket_are_named(scene: Scene) -> None:
    """A role without its rights, a secret that is gone and a wrong bucket are distinguished."""
    policy = scene.roles.policy("extract")
    silent = [each for each in policy["Statement"] if each["Action"] != "s3:ListBucket"]
    scene.roles.allow("extract", {**policy, "Statement": silent})
    scene.roles.account.clients.secrets.delete_secret(
        SecretId=scene.names.secret("warehouse"), ForceDeleteWithoutRecovery=True
    )

    denied = scene.wrong("extract")[f"bucket {scene.names.bucket('ingestion')}"]
    assert denied == f"ListObjectsV2 answered AccessDenied: {selfcheck.DENIED}"
    of_load = scene.wrong("load")
    assert of_load["secret totesys-etl/dev/warehouse"] == (
        f"GetSecretValue answered AccessDeniedException: {selfcheck.DENIED}"
    )
    assert "cannot be read (AccessDeniedException)" in of_load["target warehouse"]


def test_a_database_that_does_not_answer_names_its_address(scene: Scene) -> None:
    """And how a function gets to a private one; the password is in no finding."""
    secrets, name = scene.roles.account.clients.secrets, scene.names.secret("source")
    text = secrets.get_secret_value(SecretId=name)["SecretString"]
    port = text.partition('"port": ')[2].partition(",")[0]
    secrets.put_secret_value(SecretId=name, SecretString=text.replace(port, "1"))

    said = scene.wrong("extract")["source source"]

    assert "at 127.0.0.1:1 as source_reader: cannot be reached" in said
    assert selfcheck.NO_WAY_TO_DATABASE in said
    assert text.partition('"password": "')[2].partition('"')[0] not in said


def test_a_mysql_warehouse_is_looked_at_likewise(
    zipcodes_on: Callable[[Warehouse], Zipcodes],
    new_mysql_warehouse: Callable[..., Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tables that load will create are counted; where it may not, they have to be prepared."""
    zipcodes_on(new_mysql_warehouse())
    managed = load_handler.handler({"check": True}, Context("load"))["checks"]
    monkeypatch.setenv("WAREHOUSE_MANAGED", "false")
    prepared = load_handler.handler({"check": True}, Context("load"))["checks"]

    by_target = [
        (each["ok"], each["detail"])
        for each in [*managed, *prepared]
        if each["what"] == "target warehouse"
    ]
    assert [ok for ok, _ in by_target] == [True, False]
    assert "load will create 1 tables" in by_target[0][1]
    assert "table ZIPCODES is not in schema" in by_target[1][1]


def test_a_function_that_cannot_be_imported_fails_its_deployment(
    local_aws: Emulator, tmp_path: Path
) -> None:
    """Lambda itself says which module is missing; a function that is well is not named."""
    packages = TinyPackages(tmp_path)
    packages.code = dict.fromkeys(get_args(FunctionUse), WELL)
    packages.code["page"] = f"import nothing_of_that_name\n{WELL}"
    account = f"{uuid4().int % 10**12:012}"
    aws = connect_to_aws({**local_aws.environment, "AWS_ACCESS_KEY_ID": account})
    settings = Settings.read(
        {
            "SOURCE_DATABASE_URL": "postgresql://reader:one@localhost/totesys",
            "WAREHOUSE_DATABASE_URL": "postgresql://loader:two@localhost/warehouse",
        }
    )
    sandbox = Sandbox(aws, settings, packages)
    sandbox.deploy()

    with pytest.raises(OperationError) as said:
        sandbox.deployer().check_functions()

    [line] = str(said.value).splitlines()
    assert line.startswith("page: start: does not start: ")
    assert "nothing_of_that_name" in line
