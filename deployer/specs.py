"""What is decided once about the functions: sizes, limits, layers, and what they are told.

The layer names are those of `requirements/layer-<name>.txt`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from deployer.names import FunctionUse, Names
from deployer.settings import Settings

LAYERS = ("arrow", "postgres", "pandas")
LOG_RETENTION_DAYS = 14
SWEEP_SCHEDULE = "rate(5 minutes)"
RECONCILE_SCHEDULE = "cron(0 3 * * ? *)"  # when the shop is closed
BATCH_LOG = "batches/"


@dataclass(frozen=True)
class FunctionSpec:
    """The size of a function: memory in MB (it buys CPU too), timeout in seconds."""

    use: FunctionUse
    description: str
    memory: int
    timeout: int
    layers: tuple[str, ...]

    @property
    def handler(self) -> str:
        """Return what Lambda is to call, as the zip has it."""
        return f"functions.{self.use}.handler.handler"


# 1,769 MB is one whole CPU: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
FUNCTIONS = (
    FunctionSpec("extract", "Copies what changed in the source", 1024, 300, ("arrow", "postgres")),
    FunctionSpec("transform", "Remodels batches into stars", 1769, 600, ("arrow", "pandas")),
    FunctionSpec("load", "Applies batches to the warehouse", 1024, 900, ("arrow", "postgres")),
    FunctionSpec("reconcile", "Compares source and warehouse", 1769, 900, LAYERS),
)


# Which function writes the notices that a user may choose by NOTIFY.
NOTICE_WRITERS: Mapping[str, FunctionUse] = {"every-batch": "load", "daily": "reconcile"}


def function_environment(use: FunctionUse, names: Names, settings: Settings) -> Mapping[str, str]:
    """Return the environment variables of a function; secrets are named in it, never held."""
    common = {
        "PROJECT": settings.project,
        "STAGE": settings.stage,
        "POWERTOOLS_SERVICE_NAME": use,
        "POWERTOOLS_METRICS_NAMESPACE": names.prefix,
    }
    own = {
        "extract": {
            "SOURCE_SECRET_ID": names.secret("source"),
            "INGESTION_BUCKET": names.bucket("ingestion"),
        },
        "transform": {
            "INGESTION_BUCKET": names.bucket("ingestion"),
            "PROCESSED_BUCKET": names.bucket("processed"),
        },
        "load": {
            "WAREHOUSE_SECRET_ID": names.secret("warehouse"),
            "PROCESSED_BUCKET": names.bucket("processed"),
            "WAREHOUSE_SCHEMA": settings.warehouse_schema,
            "WAREHOUSE_MANAGED": str(settings.warehouse_managed).lower(),
        },
        "reconcile": {
            "SOURCE_SECRET_ID": names.secret("source"),
            "WAREHOUSE_SECRET_ID": names.secret("warehouse"),
            "PROCESSED_BUCKET": names.bucket("processed"),
            "WAREHOUSE_SCHEMA": settings.warehouse_schema,
        },
    }
    return common | own[use] | _notices(use, names, settings)


def _notices(use: FunctionUse, names: Names, settings: Settings) -> dict[str, str]:
    """Return what a function that can write notices is told about them."""
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
    """Return the tags by which everything of a deployment is told from everything else."""
    return {"project": project, "stage": stage, "managed-by": "totesys-etl"}
