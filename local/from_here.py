"""Look at a pipeline's databases from this machine, as its functions do."""

from collections.abc import Callable, Iterator

from deployer.configuration.settings import Settings
from deployer.errors import DeployError
from deployer.operations.findings import Finding, ok, to_do, unknown
from etl import Postgres
from functions.common.errors import DatabaseUnavailableError
from local.preflight import check_source, check_warehouse

FROM_HERE = "from this machine, not yet from Lambda"


def look_from_here(settings: Settings) -> Iterator[Finding]:
    """Yield whether each database can be read or loaded, and what is to be done."""
    for source in settings.declared.sources:
        if isinstance(source, Postgres) and (address := settings.databases.get(source.name)):
            yield from _looked(
                settings,
                f"source {source.name}",
                lambda address=address, source=source: check_source(  # type: ignore[misc]
                    address, source, settings.pipeline
                ),
            )
    for target in settings.declared.targets:
        if address := settings.databases.get(target.name):
            yield from _looked(
                settings,
                f"target {target.name}",
                lambda address=address, target=target: check_warehouse(  # type: ignore[misc]
                    address, target, settings.warehouse_schema, settings.warehouse_managed
                ),
            )


def _looked(settings: Settings, what: str, look: Callable[[], str]) -> Iterator[Finding]:
    try:
        yield ok(what, f"{look()} ({FROM_HERE})")
    except DeployError as error:
        is_private = settings.network is not None
        if is_private and isinstance(error.__cause__, DatabaseUnavailableError):
            yield unknown(what, f"out of reach {FROM_HERE}: the deployment checks it there")
            return
        for problem in str(error).splitlines():
            yield to_do(what, f"{problem} ({FROM_HERE})")
