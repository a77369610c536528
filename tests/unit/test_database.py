"""The secret of a database, and what the driver's errors become."""

import json
import traceback
from collections.abc import Callable
from typing import Any

import pg8000.native
import pytest
from botocore.exceptions import ClientError

from functions.common.database import Database, database_from_secret
from functions.common.errors import (
    DatabaseAccessError,
    DatabaseStatementError,
    DatabaseUnavailableError,
    PipelineError,
    SettingsError,
)
from functions.common.postgres import translated_errors

PASSWORD = "Tr0ub4dor&3"
DATABASE = Database("db.example.com", 5432, "reader", PASSWORD, "totesys")
SECRET = {
    "host": "db.example.com",
    "port": 5432,
    "username": "reader",
    "password": PASSWORD,
    "dbname": "totesys",
    "sslmode": "verify-full",
    "ca": None,
}


class Secrets:
    """Secrets Manager with one answer."""

    def __init__(self, answer: Callable[[], dict[str, Any]]) -> None:
        self.answer = answer

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803
        assert SecretId == "totesys-etl/dev/source"
        return self.answer()


def read(**answer: Any) -> Database:
    client: Any = Secrets(lambda: answer)
    return database_from_secret(client, "totesys-etl/dev/source")


def test_a_secret_names_a_database() -> None:
    """Every field of the secret is used as it is written there."""
    mine = SECRET | {"sslmode": "require", "ca": "-----BEGIN", "port": 6432}

    assert read(SecretString=json.dumps(SECRET)) == DATABASE
    assert read(SecretString=json.dumps(mine)) == Database(
        "db.example.com", 6432, "reader", PASSWORD, "totesys", "require", "-----BEGIN"
    )


def test_tls_is_checked_in_full_unless_the_secret_says_otherwise() -> None:
    """A secret without an sslmode is no reason to trust whoever answers."""
    short = {name: SECRET[name] for name in ("host", "port", "username", "password", "dbname")}

    assert read(SecretString=json.dumps(short)) == DATABASE


@pytest.mark.parametrize(
    "answer",
    [
        {"SecretString": PASSWORD},
        {"SecretString": f'"{PASSWORD}"'},
        {"SecretString": f"postgresql://reader:{PASSWORD}@db.example.com/totesys"},
        {"SecretString": json.dumps([PASSWORD])},
        {"SecretString": json.dumps(SECRET | {"port": PASSWORD})},
        {"SecretString": json.dumps(SECRET | {"sslmode": PASSWORD})},
        {"SecretString": json.dumps({"password": PASSWORD})},
        {"SecretString": json.dumps(SECRET)[:-1]},
        {"SecretBinary": PASSWORD.encode()},
    ],
)
def test_a_malformed_secret_is_named_and_never_shown(answer: dict[str, Any]) -> None:
    """The error says which secret and what to do; no part of it is in the message or the trace."""
    with pytest.raises(SettingsError) as failure:
        read(**answer)

    assert str(failure.value) == (
        "secret totesys-etl/dev/source is not a database's: run deploy.py again"
    )
    assert PASSWORD not in "".join(traceback.format_exception(failure.value))


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "AccessDeniedException"])
def test_a_secret_that_cannot_be_read_is_named(code: str) -> None:
    """The error says which secret, why in AWS's own word, and what to do."""

    def refuse() -> dict[str, Any]:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetSecretValue")

    client: Any = Secrets(refuse)
    with pytest.raises(SettingsError) as failure:
        database_from_secret(client, "totesys-etl/dev/source")

    assert str(failure.value) == (
        f"secret totesys-etl/dev/source cannot be read ({code}): run deploy.py again"
    )


def test_a_database_is_shown_without_its_password() -> None:
    """Wherever a database is printed, logged or traced, it is named and its password is not."""
    shown = "database totesys at db.example.com:5432 as reader"

    assert [str(DATABASE), repr(DATABASE), f"{DATABASE}"] == [shown] * 3
    assert repr([DATABASE]) == f"[{shown}]"


@pytest.mark.parametrize(
    ("code", "kind", "step"),
    [
        ("28P01", DatabaseAccessError, ": check user and password of the URL"),
        ("28000", DatabaseAccessError, ": check user and password of the URL"),
        ("3D000", DatabaseAccessError, ": check the database name of the URL"),
        ("42501", DatabaseAccessError, ": ask for the right to be granted"),
        ("08006", DatabaseUnavailableError, ""),
        ("53300", DatabaseUnavailableError, ""),
        ("57P01", DatabaseUnavailableError, ""),
        ("57014", DatabaseUnavailableError, ""),
        ("40001", DatabaseUnavailableError, ""),
        ("42P01", DatabaseStatementError, " [42P01]"),
        ("55P03", DatabaseUnavailableError, ""),
    ],
)
def test_an_error_of_the_server_says_what_to_do(
    code: str, kind: type[PipelineError], step: str
) -> None:
    """Each class of SQLSTATE has its next step (fix, retry, read), and the database is named."""
    with pytest.raises(kind) as failure, translated_errors(DATABASE):
        raise pg8000.native.DatabaseError({"S": "ERROR", "C": code, "M": "the server's words"})

    assert type(failure.value) is kind
    assert str(failure.value) == f"{DATABASE}: the server's words{step}"


def test_a_broken_rule_names_its_constraint() -> None:
    """Schema, table, column and constraint are in the message as far as the server names them."""
    with pytest.raises(DatabaseStatementError) as failure, translated_errors(DATABASE):
        raise pg8000.native.DatabaseError(
            {"C": "23503", "M": "violates", "D": "Key (a)=(1)", "s": "star", "t": "f", "n": "fk"}
        )

    assert str(failure.value) == (
        f"{DATABASE}: a row that it refers to is not there [23503] at star.f.fk"
    )


@pytest.mark.parametrize(
    "error",
    [pg8000.native.InterfaceError("network error"), ConnectionResetError("network error")],
)
def test_a_connection_that_breaks_is_reported_as_such(error: Exception) -> None:
    """A lost connection is a matter of trying again, and says so with the driver's reason."""
    with pytest.raises(DatabaseUnavailableError) as failure, translated_errors(DATABASE):
        raise error

    assert str(failure.value) == f"{DATABASE}: the connection broke (network error)"
    assert failure.value.__cause__ is error


def test_errors_of_our_own_pass_unchanged() -> None:
    """An error that has nothing to do with the database is not blamed on it."""
    error = SettingsError("not set")

    with pytest.raises(SettingsError) as failure, translated_errors(DATABASE):
        raise error

    assert failure.value is error
