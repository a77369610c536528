"""The password of a database is in its secret, and nowhere else, whatever goes wrong."""

import io
import json
import socket
import ssl
import string
import traceback
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
import trustme
from pg8000.native import identifier, literal
from rich.console import Console

import deploy
from deployer.aws.account import Account, connect
from deployer.configuration.databases import parse_database_url
from deployer.configuration.settings import Settings
from deployer.deployer import Deployer
from deployer.errors import OperationError
from deployer.operations import output
from deployer.operations.pipeline import Pipeline
from deployer.operations.status import read_status
from deployer.packaging import packages
from deployer.resources.names import Names
from functions.common.errors import PipelineError, SettingsError
from local.connection import connect as connect_to
from local.emulator import Emulator
from local.postgres import PostgresServer
from tests.pipeline.conftest import Functions
from tests.pipeline.local_process import throwaway_aws
from tests.pipeline.oracle import current, expected
from tests.pipeline.tls_peer import TlsPeer
from tests.postgres_fixtures import Source, Warehouse

# Its letters are the same in a URL, in JSON, in a repr and as it is; what is between them is not.
TRACE = "Sent1nelOfAPassw0rd"
PASSWORD = f"{TRACE} {string.punctuation} äöü {TRACE}"
ROLE = "keeper of secrets"
OTHER = f"{TRACE} of yesterday"


@pytest.fixture
def role(postgres: PostgresServer) -> Iterator[None]:
    """A role that may do what reader and loader may, with that password."""
    name = identifier(ROLE)
    with connect_to(postgres.superuser_url()) as superuser:
        superuser.run(f"CREATE ROLE {name} LOGIN PASSWORD {literal(PASSWORD)}")
        yield
        superuser.run(f"DROP ROLE {name}")


def url_of(url: str, password: str = PASSWORD) -> str:
    """Return a URL with the role and another password."""
    where = url.rpartition("@")[2]
    return f"postgresql://{quote(ROLE)}:{quote(password, safe='')}@{where}"


def shown(error: BaseException) -> str:
    """Return all that a trace of an error and of those behind it can show, variables included."""
    texts, chain = [], [error]
    while chain:
        one = chain.pop()
        # The frame of the test itself is not the pipeline's.
        frames = one.__traceback__.tb_next if one is error and one.__traceback__ else None
        trace = traceback.TracebackException(
            type(one), one, frames or one.__traceback__, capture_locals=True
        )
        texts += [*trace.format(chain=False), repr(one), str(one.args), str(vars(one))]
        chain += [other for other in (one.__cause__, one.__context__) if other is not None]
    return "".join(texts)


def no_listener() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def wrong_addresses(good: dict[str, Any], bare: int, stranger: int) -> dict[str, dict[str, Any]]:
    """Return secrets with which nobody gets in, by what is wrong with them."""
    return {
        "wrong password": good | {"password": OTHER},
        "nobody listens": good | {"port": no_listener()},
        "no such host": good | {"host": "x" * 64 + ".example.com"},
        "no such database": good | {"dbname": "nowhere"},
        "no such user": good | {"username": "nobody"},
        "no TLS": good | {"port": bare, "sslmode": "verify-full"},
        "not trusted": good | {"port": stranger, "host": "localhost", "sslmode": "verify-full"},
        "no login": good | {"password": f"{PASSWORD}😀"},
        "an authority of junk": good | {"sslmode": "verify-full", "ca": TRACE},
    }


@pytest.fixture
def peers(postgres: PostgresServer) -> Iterator[tuple[int, int]]:
    """Ports before PostgreSQL: of a peer without TLS, and of one that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    found = [TlsPeer(postgres.port, None), TlsPeer(postgres.port, context)]
    yield found[0].port, found[1].port
    for peer in found:
        peer.close()


@pytest.mark.usefixtures("role")
@pytest.mark.parametrize("function", ["extract", "load"])
def test_no_refusal_shows_a_password(
    functions: Functions,
    peers: tuple[int, int],
    function: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """No message, no error behind it, no variable of a trace and no log line has a piece of it."""
    own = functions.source.reader_url if function == "extract" else functions.warehouse.loader_url
    good = parse_database_url(url_of(own)).secret()
    side = {"extract": "source", "load": "warehouse"}[function]
    name = f"{functions.ingestion.removesuffix('-ingestion')}/{side}"
    secrets = boto3.client("secretsmanager")
    run: Callable[[], Any] = getattr(functions, function)

    for why, secret in wrong_addresses(good, *peers).items():
        secrets.put_secret_value(SecretId=name, SecretString=json.dumps(secret))
        with pytest.raises(PipelineError) as failure:
            run()
        assert TRACE not in shown(failure.value), why
    malformed = [PASSWORD, f'"{PASSWORD}"', json.dumps(good)[:-1], json.dumps([good]),
                 json.dumps(good | {"port": PASSWORD}), json.dumps(good | {"sslmode": PASSWORD}),
                 json.dumps({"password": PASSWORD}), url_of(own), '{"a":' * 9000]  # fmt: skip
    for text in malformed:
        secrets.put_secret_value(SecretId=name, SecretString=text)
        with pytest.raises(SettingsError) as refused:
            run()
        assert TRACE not in shown(refused.value)
    assert TRACE not in "".join(capfd.readouterr())


def wrong_urls(good: str, bare: int, stranger: int) -> list[str]:
    """Return URLs with which nobody gets in, the last ones malformed."""
    server, _, database = good.rpartition("/")
    before, _, _ = server.rpartition(":")
    return [
        url_of(good, OTHER),
        f"{before}:{no_listener()}/{database}",
        f"{server}/nowhere",
        f"{before}:{bare}/{database}?sslmode=verify-full",
        f"{before.replace('127.0.0.1', 'localhost')}:{stranger}/{database}?sslmode=verify-full",
        good.replace("@", "@" + "x" * 64 + ".", 1),
        f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:1/{database}",
        f"{good}?password={TRACE}",
        f"{good}?sslmode={TRACE}",
        f"mysql{good.removeprefix('postgresql')}",
        PASSWORD,
    ]


@pytest.mark.usefixtures("role")
@pytest.mark.parametrize("option", ["--source-url", "--warehouse-url"])
def test_no_refusal_of_the_command_line_shows_a_password(
    peers: tuple[int, int],
    new_source: Callable[..., Source],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    option: str,
) -> None:
    """Whatever is wrong with a URL on the command line, what is printed has no piece of it."""
    good = url_of(new_source(0).reader_url)
    local = ("local", "--once", "--dir", str(tmp_path / "sandbox"))
    commands: list[tuple[str, ...]] = [(*local, option, url) for url in wrong_urls(good, *peers)]
    commands += [("local", "--source", good), ("local", good), (good,), ("replay", good)]
    commands += [("plan", f"{option}={good}"), (*local, f"{option}={good}", "--port", good)]

    for command in commands:
        for form in ((), ("--json",)):
            assert deploy.main((*command, *form)) in (1, 2)
            out, err = capfd.readouterr()
            assert "error: " in err
            assert TRACE not in out + err


@pytest.fixture(scope="module")
def aws() -> Iterator[Emulator]:
    """Run a separate AWS; its packages go with its folder."""
    with throwaway_aws(sparingly=True) as aws:
        yield aws


def everything_readable(account: Account, names: Names) -> dict[str, str]:
    """Return what anybody may read who may read all but secrets: functions, logs and buckets."""
    clients = account.clients
    found = {}
    for use in ("extract", "transform", "load", "reconcile"):
        function = clients.lambda_.get_function(FunctionName=names.function(use))
        found[f"function {use}"] = str(function["Configuration"])
        pages = clients.logs.get_paginator("filter_log_events").paginate(
            logGroupName=names.log_group(use)
        )
        found[f"log {use}"] = "\n".join(str(event) for page in pages for event in page["events"])
        found[f"role {use}"] = str(
            clients.iam.get_role_policy(RoleName=names.role(use), PolicyName="least-privilege")
        )
    for bucket in ("ingestion", "processed", "code"):
        pages_of_keys = clients.s3.get_paginator("list_objects_v2").paginate(
            Bucket=names.bucket(bucket)
        )
        for key in [item["Key"] for page in pages_of_keys for item in page.get("Contents", [])]:
            body = clients.s3.get_object(Bucket=names.bucket(bucket), Key=key)["Body"].read()
            found[f"{bucket}/{key}"] = f"{key} {_unpacked(body)}"
    for use in ("extract", "transform", "load", "reconcile"):
        found[f"zip {use}"] = _unpacked(packages.build_function_zip(use, "totesys").data)
    found["alarms"] = str(clients.cloudwatch.describe_alarms())
    found["rules"] = str(clients.events.list_rules())
    return found


def planned_change(account: Account, settings: Settings, source: Source) -> list[Any]:
    """Return what a plan says of a password that was changed in the settings."""
    address = parse_database_url(url_of(source.reader_url, OTHER))
    changed, planning = (
        replace(settings, databases={**settings.databases, "source": address}),
        replace(account, planning=True),
    )
    changes = Deployer(planning, changed, packages, lambda _: None).deploy()
    pending = [change for change in changes if change.action != "left"]
    assert [(change.kind, sorted(change.differences)) for change in pending] == [
        ("secret", ["value"])
    ]
    out = io.StringIO()
    Console(file=out).print(output.pending_lines(pending))
    return [changes, output.changes_document(changes), out.getvalue()]


def _unpacked(body: bytes) -> str:
    if not zipfile.is_zipfile(io.BytesIO(body)):
        return body.decode("latin-1")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        own = [name for name in archive.namelist() if name.startswith("functions/")]
        return "".join(archive.read(name).decode("latin-1") for name in own)


@pytest.mark.usefixtures("role")
def test_a_deployment_keeps_passwords_in_its_secrets_alone(
    aws: Emulator,
    new_source: Callable[[], Source],
    new_warehouse: Callable[[], Warehouse],
    postgres: PostgresServer,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The real packages work with such a password, and neither work nor failure shows it."""
    source, warehouse = new_source(), new_warehouse()
    with connect_to(source.superuser_url) as superuser:
        superuser.run(f"GRANT source_reader, warehouse_loader TO {identifier(ROLE)}")
    settings = Settings.read(
        {
            "SOURCE_DATABASE_URL": url_of(source.reader_url),
            "WAREHOUSE_DATABASE_URL": url_of(warehouse.loader_url),
            "EXTRACT_SCHEDULE": "rate(100 days)",
            "LOAD_SCHEDULE": "rate(100 days)",
        }
    )
    account = connect(aws.environment)
    names = Names(settings.project, settings.stage, account.id, account.region)
    events: list[object] = []
    pipeline = Pipeline(account, names, ["source"], lambda _: nullcontext())

    changes = Deployer(account, settings, packages, events.append).deploy()
    run = pipeline.run()
    with connect_to(postgres.superuser_url()) as superuser:
        superuser.run(f"ALTER ROLE {identifier(ROLE)} PASSWORD 'another'")
    failures = []
    for command in (pipeline.run, pipeline.reconcile):
        with pytest.raises(OperationError) as failure:
            command()
        assert "password authentication failed" in str(failure.value)
        failures.append(shown(failure.value))

    assert current(warehouse) == expected(source)
    readable = everything_readable(account, names)
    assert {where for where, text in readable.items() if TRACE in text} == set()
    assert "password authentication failed" in readable["log extract"]
    assert any(where.startswith("processed/fact_payment/") for where in readable)
    planned = planned_change(account, settings, source)
    status = read_status(account, names, ["source"], datetime.now(UTC))
    printed = [events, changes, run, settings, output.changes_document(changes), failures]
    printed += [planned, status, asdict(status)]
    assert TRACE not in str(printed) + "".join(capfd.readouterr())
