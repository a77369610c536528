"""The functions: sizes, limits and layers.

A layer has the name of its `requirements/layer-<name>.txt`, except the pipeline's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deployer.configuration.settings import Settings
from deployer.resources.names import BucketUse, FunctionUse
from etl import Events, Postgres, product
from etl.loading import folder
from etl.pipeline import Pipeline
from etl.sources import Source
from etl.targets import Target

LAYERS = ("arrow", "pandas")  # of every pipeline
DATABASE_LAYERS = ("postgres", "mysql")  # by the kinds of its databases
LAKE_LAYER = "lake"  # of the function that keeps Iceberg tables
LIGHT_LAYER = "powertools"  # of functions that answer requests, and read no Parquet
OWN_LAYER = "pipeline"
SWEEP_SCHEDULE = "rate(5 minutes)"
RECONCILE_SCHEDULE = "cron(0 3 * * ? *)"  # at night, when databases have time
BATCH_LOG = "batches/"
# The prefix of a bucket whose objects are read within minutes: zips of layers, which Lambda copies
# when they are published, and the outcomes of runs.
SHORT_LIVED: Mapping[BucketUse, str] = {
    "code": "layers/",
    "ingestion": "runs/",
    "processed": "runs/",
}
MARKERS = "loaded/"


@dataclass(frozen=True)
class Asynchronous:
    """How Lambda treats an event that a function cannot process now, or fails to process.

    `retries` of a failed event, `age` in seconds after which an event is dropped, and whether one
    that still fails goes to the queue of failed events.
    """

    retries: int
    age: int
    keeps_failed: bool


# The next scheduled event does the same work: retries would only add load to a database that is
# slow already. https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
BY_SCHEDULE = Asynchronous(retries=0, age=60, keeps_failed=False)
# Events of new batches wait while another run is at work. The scheduled sweep is the retry.
BY_EVENT = Asynchronous(retries=0, age=3600, keeps_failed=True)


@dataclass(frozen=True)
class FunctionSpec:
    """The size of a function: memory in MB, which also determines its CPU; timeout in seconds.

    `runs` is its concurrency, reserved where the account's limit allows that; None is unlimited.
    """

    use: FunctionUse
    description: str
    memory: int
    timeout: int
    events: Asynchronous = BY_SCHEDULE
    runs: int | None = 1

    @property
    def handler(self) -> str:
        """The handler, as a path in the zip."""
        return f"functions.{self.use}.handler.handler"


# 1,769 MB is one full CPU: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
FUNCTIONS = (
    # Dropped files invoke it too, possibly many at once: an event that waits for over a minute is
    # not needed, because a scheduled run reads the file.
    FunctionSpec("extract", "Copies changes of the sources", 1024, 900),
    FunctionSpec("transform", "Transforms batches to target rows", 1769, 600, BY_EVENT),
    FunctionSpec("load", "Loads batches into the warehouse", 1024, 900),
    FunctionSpec("reconcile", "Compares sources and warehouse", 1769, 900),
    # Each marker invokes it too, possibly many at once: a scheduled run replaces a dropped event.
    FunctionSpec("page", "Writes the pipeline's page", 1024, 60),
)

# Above this API Gateway answers 429, and the provider retries. The limit of the account is 10,000
# for all of its APIs.
EVENTS_A_SECOND = 2_000
# Of pipelines with events. The API waits at most 30 seconds for receive; concurrency is limited by
# the API's throttling, and for collect by its event source.
OF_EVENTS = (
    FunctionSpec("receive", "Stores posted events", 1024, 20, runs=None),
    FunctionSpec("collect", "Collects events into batches", 1769, 120, runs=None),
)

# Of pipelines that serve reports. Each run has at most one connection to the warehouse.
OF_REPORTS = (FunctionSpec("serve", "Serves reports", 1024, 29, runs=20),)

# Of deployments with LAKE=iceberg. No new account allows more memory; parts of a table are in it.
OF_LAKE = (FunctionSpec("lake", "Commits to Iceberg tables", 3008, 900),)

# The functions whose failed events are kept, which their roles must allow.
KEEPS_FAILED = frozenset(spec.use for spec in FUNCTIONS if spec.events.keeps_failed)


def functions(settings: Settings) -> tuple[FunctionSpec, ...]:
    """Return the functions of a deployment."""
    return (
        *FUNCTIONS,
        *(OF_EVENTS if settings.takes_events else ()),
        *(OF_REPORTS if settings.reports.is_on else ()),
        *(OF_LAKE if settings.has_lake else ()),
    )


def schedules(settings: Settings | type[Settings] = Settings) -> Mapping[FunctionUse, str]:
    """Return the schedules of a deployment by function; of the class, those by default."""
    return {
        "extract": settings.extract_schedule,
        "transform": SWEEP_SCHEDULE,
        "load": settings.load_schedule,
        "reconcile": RECONCILE_SCHEDULE,
        "page": SWEEP_SCHEDULE,
        **({"lake": settings.lake_schedule} if settings.lake != "off" else {}),
    }


# Where a function that is invoked by hand stores what becomes of it, under runs/<function>/.
OUTCOME_BUCKETS: Mapping[FunctionUse, BucketUse] = {
    "extract": "ingestion",
    "transform": "processed",
    "load": "processed",
    "reconcile": "processed",
    "page": "processed",
    "lake": "processed",
}
READS_SOURCES = frozenset[FunctionUse]({"extract", "reconcile"})
READS_TARGETS = frozenset[FunctionUse]({"load", "reconcile", "page", "serve"})
ANSWERS_REQUESTS = frozenset[FunctionUse]({"receive", "serve"})
RUNS_ROW_FUNCTIONS = frozenset[FunctionUse]({"transform", "reconcile"})
RUNS_PIPELINE_CODE = RUNS_ROW_FUNCTIONS | {"load"}

# Which functions send the notices of each choice of NOTIFY.
NOTICE_WRITERS: Mapping[str, frozenset[FunctionUse]] = {
    "failures": frozenset(),  # the alarms report them
    "daily": frozenset({"reconcile"}),
    "every-batch": frozenset({"load"}),
    "every-file": frozenset({"load"}),
    "steps": frozenset({"extract", "transform", "load"}),
}


def parts(use: FunctionUse, declared: Pipeline) -> list[str]:
    """Return the kinds of sources and targets that a function uses, as folders of `functions`."""
    return sorted(
        {
            f"{'sources' if part in declared.sources else 'targets'}/{part.kind}"
            for part in declared.parts
            if use in _readers(part, declared)
        }
    )


def _readers(part: Source | Target, declared: Pipeline) -> frozenset[FunctionUse]:
    if isinstance(part, Events):
        return READS_SOURCES | {"collect"}
    return READS_SOURCES if part in declared.sources else READS_TARGETS


def databases(use: FunctionUse, declared: Pipeline) -> tuple[Postgres | Target, ...]:
    """Return the sources and targets that a function connects to as databases."""
    return tuple(
        part
        for part in declared.databases
        if use in (READS_SOURCES if isinstance(part, Postgres) else READS_TARGETS)
    )


def secrets_of(
    use: FunctionUse, declared: Pipeline
) -> tuple[Postgres | Target, ...] | tuple[Events, ...]:
    """Return the parts of a pipeline whose secrets a function reads."""
    return declared.events if use == "receive" else databases(use, declared)


def layers_of(use: FunctionUse, pipeline: str, declared: Pipeline) -> tuple[str, ...]:
    """Return the layers of a function: those for its code, and for the pipeline's."""
    kinds = {each.kind for each in databases(use, declared)}
    needed = {
        LIGHT_LAYER: use in ANSWERS_REQUESTS,
        "arrow": use not in ANSWERS_REQUESTS,
        **{kind: kind in kinds for kind in DATABASE_LAYERS},
        LAKE_LAYER: use == "lake",
        "pandas": use in RUNS_ROW_FUNCTIONS,
        OWN_LAYER: use in RUNS_PIPELINE_CODE and requirements(pipeline).is_file(),
    }
    return tuple(layer for layer, is_needed in needed.items() if is_needed)


def requirements(pipeline: str) -> Path:
    """Return the file that locks the packages of a pipeline's code; most pipelines have none."""
    return folder(pipeline) / "requirements.txt"


def tags(settings: Settings) -> Mapping[str, str]:
    """Return the tags of every resource of a deployment."""
    ours = {**settings.organisation.tags, **own_tags(settings.project, settings.stage)}
    if settings.expires_at is None:
        return ours
    return {**ours, "expires-at": settings.expires_at.isoformat()}


def own_tags(project: str, stage: str) -> Mapping[str, str]:
    """Return the tags by which the resources of a deployment are recognised."""
    return {"project": project, "stage": stage, "managed-by": product.NAME}
