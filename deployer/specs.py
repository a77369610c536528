"""What is decided once about the functions: sizes, limits, layers, and their environment.

The layer names are those of `requirements/layer-<name>.txt`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from deployer.names import FunctionUse, Names
from deployer.settings import Settings
from etl import Postgres, product
from etl.pipeline import Pipeline, Target

LAYERS = ("arrow", "postgres", "pandas")
LOG_RETENTION_DAYS = 14
SWEEP_SCHEDULE = "rate(5 minutes)"
RECONCILE_SCHEDULE = "cron(0 3 * * ? *)"  # when the shop is closed
BATCH_LOG = "batches/"


@dataclass(frozen=True)
class Asynchronous:
    """What becomes of an event for a function that cannot take it now, or fails at it.

    `retries` of a failed event, `age` in seconds after which one is dropped, and whether one that
    failed for good goes to the queue of failed events.
    """

    retries: int
    age: int
    keeps_failed: bool


# The next event of a schedule does as well: one that is retried, or waits, only piles up on a
# database that is slow already. https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
BY_SCHEDULE = Asynchronous(retries=0, age=60, keeps_failed=False)
BY_EVENT = Asynchronous(retries=2, age=3600, keeps_failed=True)


@dataclass(frozen=True)
class FunctionSpec:
    """The size of a function: memory in MB (it buys CPU too), timeout in seconds.

    One run of each at a time, where the account's limit allows to reserve that.
    """

    use: FunctionUse
    description: str
    memory: int
    timeout: int
    layers: tuple[str, ...]
    events: Asynchronous = BY_SCHEDULE

    @property
    def handler(self) -> str:
        """Return what Lambda is to call, as the zip has it."""
        return f"functions.{self.use}.handler.handler"


# 1,769 MB is one whole CPU: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
FUNCTIONS = (
    FunctionSpec("extract", "Copies what changed in the source", 1024, 900, ("arrow", "postgres")),
    FunctionSpec(
        "transform", "Makes target rows of batches", 1769, 600, ("arrow", "pandas"), BY_EVENT
    ),
    FunctionSpec("load", "Applies batches to the warehouse", 1024, 900, ("arrow", "postgres")),
    FunctionSpec("reconcile", "Compares source and warehouse", 1769, 900, LAYERS),
)


# Whose failed events are kept, in the name of its role.
KEEPS_FAILED = frozenset(spec.use for spec in FUNCTIONS if spec.events.keeps_failed)

READS_SOURCES = frozenset[FunctionUse]({"extract", "reconcile"})
READS_TARGETS = frozenset[FunctionUse]({"load", "reconcile"})

# Which function writes the notices that a user may choose by NOTIFY.
NOTICE_WRITERS: Mapping[str, FunctionUse] = {"every-batch": "load", "daily": "reconcile"}


def parts(use: FunctionUse, declared: Pipeline) -> list[str]:
    """Return the kinds of sources and of targets that a function works with, as folders."""
    return sorted(
        {
            f"{'sources' if part in declared.sources else 'targets'}/{part.kind}"
            for part in databases(use, declared)
        }
    )


def databases(use: FunctionUse, declared: Pipeline) -> tuple[Postgres | Target, ...]:
    """Return the sources and targets that a function connects to as databases."""
    parts = (
        *(declared.sources if use in READS_SOURCES else ()),
        *(declared.targets if use in READS_TARGETS else ()),
    )
    return tuple(part for part in declared.databases if part in parts)


def function_environment(use: FunctionUse, names: Names, settings: Settings) -> Mapping[str, str]:
    """Return the environment variables of a function; secrets are named in it, never held."""
    common = {
        "PROJECT": settings.project,
        "STAGE": settings.stage,
        "PIPELINE": settings.pipeline,
        "POWERTOOLS_SERVICE_NAME": use,
        "POWERTOOLS_METRICS_NAMESPACE": names.prefix,
    }
    own = {
        "extract": {
            "INGESTION_BUCKET": names.bucket("ingestion"),
        },
        "transform": {
            "INGESTION_BUCKET": names.bucket("ingestion"),
            "PROCESSED_BUCKET": names.bucket("processed"),
        },
        "load": {
            "PROCESSED_BUCKET": names.bucket("processed"),
            "WAREHOUSE_SCHEMA": settings.warehouse_schema,
            "WAREHOUSE_MANAGED": str(settings.warehouse_managed).lower(),
        },
        "reconcile": {
            "INGESTION_BUCKET": names.bucket("ingestion"),
            "PROCESSED_BUCKET": names.bucket("processed"),
            "WAREHOUSE_SCHEMA": settings.warehouse_schema,
        },
    }
    return common | own[use] | _secrets(use, names, settings) | _notices(use, names, settings)


def _secrets(use: FunctionUse, names: Names, settings: Settings) -> dict[str, str]:
    """Return where a function finds the addresses of the databases that it works with."""
    return {
        part.secret_setting: names.secret(part.name)
        for part in databases(use, settings.declared)
        if part.name in settings.databases
    }


def _notices(use: FunctionUse, names: Names, settings: Settings) -> dict[str, str]:
    """Return the variables of a function that can write notices."""
    if use not in NOTICE_WRITERS.values():
        return {}
    return {"NOTIFY": settings.notify, "NOTICE_TOPIC_ARN": names.topic_arn}


def tags(settings: Settings) -> Mapping[str, str]:
    """Return the tags that mark everything of this deployment."""
    marks = own_tags(settings.project, settings.stage)
    if settings.expires_at is None:
        return marks
    return {**marks, "expires-at": settings.expires_at.isoformat()}


def own_tags(project: str, stage: str) -> Mapping[str, str]:
    """Return the tags by which everything of a deployment is recognised."""
    return {"project": project, "stage": stage, "managed-by": product.NAME}
