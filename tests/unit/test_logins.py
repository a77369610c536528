"""Logging in: the forms of secrets, passwords that change meanwhile, and tokens of IAM."""

import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from etl import PostgresWarehouse
from etl.rds import region_of
from functions.common import rds
from functions.common.database import (
    Database,
    DatabaseSecret,
    database_from_secret,
    stored_database,
    tls_context,
    untrusted,
)
from functions.common.errors import DatabaseAccessError, SettingsError
from functions.common.logins import logged_in, password_of

ARN = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:rds!db-1a2b-AbCdEf"
MANAGED = {"username": "postgres", "password": "s3cret"}
HOST = "shop.abc123.eu-west-2.rds.amazonaws.com"
ADDRESS = {"host": HOST, "port": 5432, "dbname": "shop"}


class Secrets:
    """Secrets Manager; its answers one after the other, the last one again and again."""

    def __init__(self, *values: object) -> None:
        self._values = list(values)
        self.reads = 0

    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:  # noqa: N803
        self.reads += 1
        value = self._values.pop(0) if len(self._values) > 1 else self._values[0]
        return {"SecretString": json.dumps(value)}


def read(value: object, given: dict[str, Any] | None = None, id_: str = ARN) -> Database:
    client: Any = Secrets(value)
    return database_from_secret(client, id_, json.dumps(given or {}))


def test_a_secret_that_rds_manages_is_completed_by_the_address() -> None:
    """It has user and password alone."""
    assert read(MANAGED, ADDRESS) == Database(HOST, 5432, "postgres", "s3cret", "shop")


@pytest.mark.parametrize(
    ("engine", "port"),
    [("postgres", 5432), ("aurora-postgresql", 5432), ("mysql", 3306), ("mariadb", 3306)],
)
def test_a_secret_in_the_form_of_aws_says_all(engine: str, port: int) -> None:
    """With the usual port of its engine, and with fields that are nothing to us."""
    value = {**MANAGED, "engine": engine, "host": "db", "dbname": "d", "dbClusterIdentifier": "x"}

    assert read(value) == Database("db", port, "postgres", "s3cret", "d")


def test_a_port_may_be_written_as_text() -> None:
    """As some tools do."""
    assert read({**MANAGED, "host": "db", "dbname": "d", "port": "6432"}).port == 6432


def test_the_address_goes_before_what_a_secret_says() -> None:
    """To read a replica, for example, or another database of the same server."""
    value = {**MANAGED, "host": "db", "port": 1, "dbname": "d", "sslmode": "disable"}
    given = {"host": "replica", "dbname": "other", "sslmode": "require"}

    assert read(value, given) == Database("replica", 1, "postgres", "s3cret", "other", "require")


@pytest.mark.parametrize("lacking", ["username", "password", "host", "dbname"])
def test_what_a_secret_of_others_lacks_is_asked_for(lacking: str) -> None:
    """In one line that names the secret and the setting, without a value of it."""
    value = {**MANAGED, "host": "db", "dbname": "d", "engine": "postgres"}
    del value[lacking]

    with pytest.raises(SettingsError) as failure:
        read(value)

    assert str(failure.value).startswith(f"secret {ARN} is not a database's: it needs username")
    assert "<NAME>_DATABASE_ADDRESS" in str(failure.value)
    assert "s3cret" not in str(failure.value)


def test_a_function_finds_the_address_in_its_settings() -> None:
    """Beside the id of the secret."""
    client: Any = Secrets(MANAGED)
    settings = {"WAREHOUSE_SECRET_ID": ARN, "WAREHOUSE_DATABASE_ADDRESS": json.dumps(ADDRESS)}

    found = stored_database(client, settings, PostgresWarehouse("warehouse", tables=()))

    assert found.host == HOST


OLD, NEW = Database("db", 1, "u", "old", "d"), Database("db", 1, "u", "new", "d")


def stored(*passwords: str) -> tuple[Secrets, Database]:
    values = [
        {"host": "db", "port": 1, "username": "u", "password": p, "dbname": "d"} for p in passwords
    ]
    client: Any = Secrets(*values)
    return client, DatabaseSecret(client, "shop/dev/source").read()


def accepting(password: str, seen: list[str]) -> Callable[[Database], str]:
    def connect(database: Database) -> str:
        seen.append(database.password)
        if database.password != password:
            raise DatabaseAccessError("no", is_login=True)
        return "connected"

    return connect


def test_a_password_that_was_rotated_meanwhile_is_read_again() -> None:
    """Between reading the secret and logging in: the second try has the new one."""
    seen: list[str] = []
    client, database = stored("old", "new")

    assert logged_in(database, accepting("new", seen)) == "connected"
    assert seen == ["old", "new"]
    assert client.reads == 2


def test_a_password_that_is_wrong_is_tried_once() -> None:
    """The same again could lock the account."""
    seen: list[str] = []
    client, database = stored("wrong")

    with pytest.raises(DatabaseAccessError):
        logged_in(database, accepting("right", seen))
    assert seen == ["wrong"]
    assert client.reads == 2


def test_a_second_refusal_is_final() -> None:
    """Whatever the secret says by then."""
    seen: list[str] = []
    client, database = stored("one", "two", "three")

    with pytest.raises(DatabaseAccessError):
        logged_in(database, accepting("three", seen))
    assert seen == ["one", "two"]
    assert client.reads == 2


def test_another_refusal_is_no_reason_to_read_again() -> None:
    """A right that is missing, for example."""
    client, database = stored("old", "new")

    def connect(_: Database) -> str:
        raise DatabaseAccessError("no right")

    with pytest.raises(DatabaseAccessError):
        logged_in(database, connect)
    assert client.reads == 1


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    rds._client.cache_clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.mark.parametrize(
    ("host", "region"),
    [(HOST.replace("eu-west-2", "us-east-1"), "us-east-1"), ("db.example.com", "eu-west-2")],
)
def test_iam_makes_a_password_for_a_quarter_of_an_hour(
    credentials: None, host: str, region: str
) -> None:
    """For this account of this database, in the region of its endpoint, or else the function's."""
    made = password_of(Database(host, 5432, "loader", "", "d", auth="iam"))

    signed = urlsplit(f"https://{made}")
    query = {name: value for name, [value] in parse_qs(signed.query).items()}
    assert (signed.hostname, signed.port) == (host, 5432)
    assert (query["Action"], query["DBUser"]) == ("connect", "loader")
    assert query["X-Amz-Expires"] == "900"
    assert f"/{region}/rds-db/" in query["X-Amz-Credential"]


def test_a_token_goes_to_no_server_that_is_not_verified(credentials: None) -> None:
    """Whoever reads it can log in for a quarter of an hour."""
    for sslmode in ("disable", "require"):
        database = Database(HOST, 5432, "loader", "", "d", sslmode, auth="iam")
        with pytest.raises(SettingsError, match="verify-full"):
            password_of(database)


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (HOST, "eu-west-2"),
        (HOST.upper(), "eu-west-2"),
        ("shop.cluster-ro-abc.ap-southeast-2.rds.amazonaws.com", "ap-southeast-2"),
        ("shop.proxy-abc.us-gov-west-1.rds.amazonaws.com", "us-gov-west-1"),
        ("shop.abc.rds.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("db.example.com", None),
        (f"{HOST}.example.com", None),
        (f"evil.{HOST}", None),
        ("rds.amazonaws.com", None),
        ("a.b.../etc/passwd.rds.amazonaws.com", None),
    ],
)
def test_the_region_is_that_of_the_endpoint(host: str, region: str | None) -> None:
    """Of RDS itself, not of names that look like one."""
    assert region_of(host) == region


BUNDLES = sorted((Path(rds.__file__).parent / "rds_authorities").glob("*.pem"))


def test_the_authorities_of_rds_are_trusted_for_its_hosts_alone() -> None:
    """Nobody has to download a bundle; another host is verified by the system's authorities."""
    here, other = (
        trusted(Database(HOST, 1, "u", "p", "d")),
        trusted(Database("db", 1, "u", "p", "d")),
    )
    ca = next(iter(BUNDLES)).read_text()
    own = trusted(Database(HOST, 1, "u", "p", "d", ca=ca))

    assert {name for name in here - other if "eu-west-2" in name} == here - other
    assert len(here - other) == 3
    assert not any("eu-west-2" in name for name in own)


def trusted(database: Database) -> set[str]:
    """Return the names of the authorities that are trusted for a database."""
    context = tls_context(database)
    assert context
    return {str(each["subject"]) for each in context.get_ca_certs()}


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_a_bundle_has_the_authorities_of_its_region(path: Path) -> None:
    """Each signed by itself, of RDS, and valid for decades."""
    found = x509.load_pem_x509_certificates(path.read_bytes())
    names = [each.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value for each in found]

    assert names == [
        f"Amazon RDS {path.stem} Root CA {kind} G1" for kind in ("ECC384", "RSA2048", "RSA4096")
    ]
    for each in found:
        each.verify_directly_issued_by(each)
        assert each.not_valid_after_utc.year >= 2061
        assert region_of(f"a.b.{path.stem}.rds.amazonaws.com") == path.stem


def test_a_region_without_a_bundle_is_named() -> None:
    """With what to add to the URL."""
    error = ssl.SSLCertVerificationError()
    error.verify_message = "unable to get issuer certificate"
    host = "shop.abc.ma-north-1.rds.amazonaws.com"

    said = str(untrusted(Database(host, 1, "u", "p", "d"), error))

    assert "Amazon RDS's certificate bundle of ma-north-1" in said
    assert "sslrootcert" in said
