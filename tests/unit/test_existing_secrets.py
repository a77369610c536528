"""Secrets of others in the settings: their ARNs instead of URLs, and what they do not say."""

import json
from typing import Any

import pytest

from deployer.configuration.settings import Settings, read_schema
from deployer.resources.environments import function_environment
from deployer.resources.names import Names
from deployer.resources.roles import rights_of
from tests.unit.reading_settings import REQUIRED, problems

ARN = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:rds!db-1a2b-3c4d-AbCdEf"
READER = "arn:aws:secretsmanager:eu-west-2:210987654321:secret:reports/reader-FeDcBa"
ADDRESS = "postgresql://shop.abc.eu-west-2.rds.amazonaws.com:6432/totesys?sslmode=require"
TOKEN = {"REPORTS_TOKEN": "x" * 32}


def read(**changed: str) -> tuple[Settings, Names]:
    settings = Settings.read({**REQUIRED, "SOURCE_DATABASE_URL": ARN, **changed})
    return settings, Names.of(settings, "123456789012", "eu-west-2")


def about_secrets(use: Any, settings: Settings, names: Names) -> list[Any]:
    return [
        statement
        for statement in rights_of(use, names, settings)["Statement"]
        if str(statement["Action"]).startswith(("secretsmanager:", "kms:", "rds-db:"))
    ]


def test_functions_read_the_secret_by_its_arn() -> None:
    """And none is made for it: the password is in no setting and in no secret of ours."""
    settings, names = read(SOURCE_DATABASE_ADDRESS=ADDRESS)
    given = function_environment("extract", names, settings)

    assert given["SOURCE_SECRET_ID"] == ARN
    assert json.loads(given["SOURCE_DATABASE_ADDRESS"]) == {
        "host": "shop.abc.eu-west-2.rds.amazonaws.com",
        "port": 6432,
        "dbname": "totesys",
        "sslmode": "require",
    }
    assert sorted(settings.secrets) == ["warehouse"]
    assert "source" not in [source.name for source in settings.left_out]


def test_a_secret_that_says_all_needs_no_address() -> None:
    """As one that was made for a rotation has it."""
    settings, names = read()

    assert "SOURCE_DATABASE_ADDRESS" not in function_environment("extract", names, settings)


def test_a_role_may_read_this_secret_alone() -> None:
    """With whatever key it is encrypted, and by that nothing else."""
    settings, names = read()

    assert about_secrets("extract", settings, names) == [
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": [ARN]},
        {
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": "arn:aws:kms:eu-west-2:123456789012:key/*",
            "Condition": {
                "StringEquals": {
                    "kms:ViaService": "secretsmanager.eu-west-2.amazonaws.com",
                    "kms:EncryptionContext:SecretARN": ARN,
                }
            },
        },
    ]
    assert about_secrets("load", settings, names) == [
        {
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": [names.secret_arn("warehouse")],
        }
    ]
    assert about_secrets("transform", settings, names) == []


def test_reports_have_a_secret_of_others_too() -> None:
    """With the address of the warehouse, and apart from the secret that load reads."""
    settings, names = read(
        **TOKEN, WAREHOUSE_READER_URL=READER, WAREHOUSE_DATABASE_ADDRESS="postgresql://w/db"
    )
    given = function_environment("serve", names, settings)

    assert given["WAREHOUSE_SECRET_ID"] == READER
    assert json.loads(given["WAREHOUSE_DATABASE_ADDRESS"]) == {"host": "w", "dbname": "db"}
    load = function_environment("load", names, settings)
    assert load["WAREHOUSE_SECRET_ID"] == "totesys-etl/dev/warehouse"
    assert "WAREHOUSE_DATABASE_ADDRESS" not in load
    [first, *_] = about_secrets("serve", settings, names)
    assert first["Resource"] == [READER, names.secret_arn("reports-token")]


@pytest.mark.parametrize(
    "arn",
    [
        ARN[:-7],
        ARN.replace("123456789012", "1234"),
        ARN.replace("secret:", "key:"),
        ARN.replace("secretsmanager", "kms"),
        ARN + "*",
        ARN.replace("rds!db", "*"),
    ],
)
def test_an_arn_is_whole(arn: str) -> None:
    """A part of one would make a policy that allows more than this secret."""
    [line] = problems(SOURCE_DATABASE_URL=arn)

    assert line.startswith("SOURCE_DATABASE_URL is not the whole ARN of a secret")


def test_a_secret_of_the_deployment_itself_is_refused() -> None:
    """It would be removed as one that nothing declares any longer."""
    arn = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:totesys-etl/dev/source-AbCdEf"

    assert problems(SOURCE_DATABASE_URL=arn) == [
        f"{arn} is of this deployment: set the URL instead"
    ]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("db.example.com", "does not begin with postgresql://"),
        ("mysql://db", "is the URL of a MySQL database, but PostgreSQL is declared"),
        ("postgresql://me:s3cret@db/d", "must have host, port and database at most"),
        ("postgresql://db/d/e", "must have host, port and database at most"),
        ("postgresql://db/d?auth=iam", "has an unknown option (known: sslmode)"),
        ("postgresql://db/d?sslmode=no", "has an unknown sslmode"),
        ("postgresql://db:s3cret/d", "is malformed"),
    ],
)
def test_a_malformed_address_is_named(address: str, problem: str) -> None:
    """With an example, and without a password that somebody put there."""
    [line] = problems(SOURCE_DATABASE_URL=ARN, SOURCE_DATABASE_ADDRESS=address)

    assert line.startswith(f"SOURCE_DATABASE_ADDRESS {problem}")
    assert line.endswith("Example: SOURCE_DATABASE_ADDRESS=postgresql://host:5432/database")
    assert "s3cret" not in line


def test_without_a_url_the_schema_of_mysql_has_to_be_set(zipster: dict[str, str]) -> None:
    """It is the database of the URL otherwise, and of the address where that has one."""
    with_address = {**zipster, "WAREHOUSE_DATABASE_ADDRESS": "mysql://db/geo"}

    assert Settings.read(with_address).warehouse_schema == "geo"
    assert read_schema(with_address, Settings.read(with_address).declared) == "geo"
    assert Settings.read({**zipster, "WAREHOUSE_SCHEMA": "own"}).warehouse_schema == "own"
    assert problems(**{"SOURCE_DATABASE_URL": "", **zipster}) == [
        "WAREHOUSE_SCHEMA is not set. Example: WAREHOUSE_SCHEMA=warehouse"
    ]


@pytest.fixture
def zipster() -> dict[str, str]:
    return {"PIPELINE": "zipster", "WAREHOUSE_DATABASE_URL": ARN}


IAM = "postgresql://etl.loader@shop.abc.eu-west-1.rds.amazonaws.com/db?auth=iam"


def test_an_account_logs_in_by_iam() -> None:
    """Its role may connect as that account alone, where the database is; there is no password."""
    settings, names = read(WAREHOUSE_DATABASE_URL=IAM)

    secret = settings.secrets["warehouse"]
    assert (secret["auth"], secret["password"]) == ("iam", "")
    assert secret["sslmode"] == "verify-full"
    assert about_secrets("load", settings, names)[1:] == [
        {
            "Effect": "Allow",
            "Action": "rds-db:connect",
            "Resource": ["arn:aws:rds-db:eu-west-1:123456789012:dbuser:*/etl.loader"],
        }
    ]
    assert "auth" not in Settings.read(REQUIRED).secrets["source"]


def test_a_reader_of_reports_logs_in_by_iam() -> None:
    """As itself: the function may not connect as load does."""
    settings, names = read(
        **TOKEN,
        WAREHOUSE_DATABASE_URL=IAM,
        WAREHOUSE_READER_URL=IAM.replace("etl.loader", "asker"),
    )

    assert about_secrets("serve", settings, names)[-1]["Resource"] == [
        "arn:aws:rds-db:eu-west-1:123456789012:dbuser:*/asker"
    ]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (IAM.replace("etl.loader", "me:s3cret"), "has a password, and auth=iam makes one"),
        (f"{IAM}&sslmode=require", "has auth=iam, which needs a verified certificate"),
        (f"{IAM}&sslmode=disable", "has auth=iam, which needs a verified certificate"),
        ("postgresql://me@localhost/db?auth=iam", "has auth=iam, which needs a verified"),
        (IAM.replace("etl.loader", "%2A"), "has a user that a policy cannot name exactly"),
        (IAM.replace("etl.loader", "a%2Fb"), "has a user that a policy cannot name exactly"),
        (IAM.replace("auth=iam", "auth=token"), "has an unknown auth (known: password, iam)"),
    ],
)
def test_a_login_by_iam_is_safe_or_refused(url: str, problem: str) -> None:
    """A token goes to nobody but the server, and a role may log in as one account."""
    [line] = problems(WAREHOUSE_DATABASE_URL=url)

    assert line.startswith(f"WAREHOUSE_DATABASE_URL {problem}")
    assert "s3cret" not in line
