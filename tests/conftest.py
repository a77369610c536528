"""Fixtures for every tier, and what Lambda sets before it imports a function."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest
from hypothesis import settings

from tests.clients import shared_parts

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
def shared_parts_of_clients() -> Iterator[None]:
    """Let clients share what botocore would make for each: parsed models, classes, rules."""
    with shared_parts():
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes `-n auto` starts: two more than there are cores.

    Each waits almost as long as it works: with one more, two cores were idle for a quarter of the
    time. Four at most, because each with its servers takes 2 GB.
    """
    return min((os.cpu_count() or 1) + 2, 4)


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that writes a line among the results, whatever is captured."""
    capture = request.config.pluginmanager.get_plugin("capturemanager")

    def write(text: str) -> None:
        # The process of a test may have no terminal reporter; its stderr is always shown.
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            sys.stderr.write(f"\n{request.node.name}: {text}\n")

    return write
