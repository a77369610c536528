"""Sessions on the pipeline's two databases, with the TLS and the words that the functions have.

Here that counts for databases that may be the user's own; the server that comes with the sandbox
is prepared through `local.connection`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pg8000.native

from deployer.databases import DatabaseAddress
from deployer.errors import DeployError
from functions.common.database import Database
from functions.common.errors import PipelineError
from functions.common.postgres import connection


class DatabaseProblem(DeployError):
    """A database turned us away or is not what it should be: mend it, or correct its URL."""


@contextmanager
def session(address: DatabaseAddress) -> Iterator[pg8000.native.Connection]:
    """Open a connection as the functions do.

    Raises DatabaseProblem for what goes wrong with it, or in the functions' code that uses it.
    """
    try:
        with connection(msgspec.convert(address.secret(), Database)) as opened:
            yield opened
    except PipelineError as error:
        raise DatabaseProblem(str(error)) from error
