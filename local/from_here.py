"""Look at a pipeline's databases from this machine, as its functions do."""

from collections.abc import Iterator

from deployer.configuration.databases import DatabaseAddress
from deployer.configuration.settings import Settings
from deployer.errors import DeployError
from deployer.operations.findings import Finding, ok, to_do, unknown
from etl import Postgres
from etl.targets import Target
from functions.common.errors import DatabaseUnavailableError
from local.preflight import check_source, check_warehouse

FROM_HERE = "from this machine, not yet from Lambda"
LATER = "the deployment checks it from Lambda"


def look_from_here(settings: Settings) -> Iterator[Finding]:
    """Yield whether each database can be read or loaded, and what is to be done."""
    for part in settings.declared.databases:
        what = f"{'source' if part in settings.declared.sources else 'target'} {part.name}"
        address = settings.databases.get(part.name)
        if part.name in settings.existing:
            yield unknown(what, "its secret is for the functions alone", LATER)
        elif address is not None and address.auth == "iam":
            yield unknown(what, "the roles of the functions log in there, by IAM", LATER)
        elif address is not None:
            yield from _looked(what, part, address, settings)


def _looked(
    what: str, part: Postgres | Target, address: DatabaseAddress, settings: Settings
) -> Iterator[Finding]:
    try:
        yield ok(what, f"{_look(part, address, settings)} ({FROM_HERE})")
    except DeployError as error:
        is_private = settings.network is not None
        if is_private and isinstance(error.__cause__, DatabaseUnavailableError):
            yield unknown(what, "it is out of reach from this machine", LATER)
            return
        for problem in str(error).splitlines():
            yield to_do(what, f"{problem} ({FROM_HERE})")


def _look(part: Postgres | Target, address: DatabaseAddress, settings: Settings) -> str:
    if isinstance(part, Postgres):
        return check_source(address, part, settings.pipeline, logged=part in settings.logged)
    return check_warehouse(address, part, settings.warehouse_schema, settings.warehouse_managed)
