"""Fixtures for every tier, and what Lambda sets before it imports a function."""

import gc
import os
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from botocore.client import ClientCreator
from botocore.loaders import create_loader
from hypothesis import settings

# What is imported and collected stays until the end: `pytest_runtestloop`.
gc.disable()

# A busy machine is no defect.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

os.environ["PIPELINE"] = "totesys"
os.environ["POWERTOOLS_METRICS_NAMESPACE"] = "tests"
os.environ["POWERTOOLS_SERVICE_NAME"] = "tests"
# moto would make the public images of EC2 in each account; nothing here starts a machine.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

pytest_plugins = [
    "tests.postgres_fixtures",
    "tests.mysql_fixtures",
    "tests.pipeline.local_process",
    "tests.unit.package_repository",
    "tests.aws.files_lake",
    "tests.aws.posted",
    "tests.aws.transform_pipeline",
    "tests.pipeline.managed_warehouse",
    "tests.pipeline.lake",
    "tests.pipeline.seven_batches",
    "tests.pipeline.report_scene",
]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Leave what stays out of the search for garbage: it takes a sixth of a short test's time."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def service_models() -> Iterator[None]:
    """Share botocore's parsed service models, and the classes of clients that are made of them.

    An account has 14 clients: to parse takes 0.3 s, to make the classes 0.03 s.
    """
    classes: dict[str, type] = {}
    creators: Any = ClientCreator  # the stubs show its public methods alone
    create = creators._create_client_class

    def create_once(creator: ClientCreator, service: str, model: Any) -> type:
        return classes.get(service) or classes.setdefault(service, create(creator, service, model))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", cache(create_loader))
        patch.setattr(creators, "_create_client_class", create_once)
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes `-n auto` starts: two more than there are cores.

    Each waits almost as long as it works: with one more, two cores were idle for a quarter of the
    time. Four at most, because each with its servers takes 2 GB.
    """
    return min((os.cpu_count() or 1) + 2, 4)
