"""Logging in to a database: by the password of its secret, also while that changes, or by IAM."""

from collections.abc import Callable
from typing import TypeVar

from functions.common import rds
from functions.common.database import Database
from functions.common.errors import DatabaseAccessError, SettingsError

C = TypeVar("C")


def password_of(database: Database) -> str:
    """Return the password to log in with; for IAM one that is valid for 15 minutes.

    Raises SettingsError for a token that anybody could read on the way.
    """
    if database.auth == "password":
        return database.password
    if database.sslmode != "verify-full":
        raise SettingsError(f"{database}: logging in by IAM needs sslmode=verify-full")
    return rds.token(database.host, database.port, database.username)


def logged_in(database: Database, connect: Callable[[Database], C]) -> C:
    """Return a connection; if the login is refused, try once more if its secret has changed.

    A rotation may come between reading the secret and logging in.
    """
    try:
        return connect(database)
    except DatabaseAccessError as error:
        if not error.is_login or database.secret is None:
            raise
        again = database.secret.read()
        if again == database:
            raise
    return connect(again)
