"""Fixtures for every tier, and what Lambda sets before it imports a function."""

import os
from collections.abc import Iterator
from functools import cache

import pytest
from botocore.loaders import create_loader
from hypothesis import settings

# A busy machine is no defect.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

os.environ["PIPELINE"] = "totesys"
os.environ["POWERTOOLS_METRICS_NAMESPACE"] = "tests"
os.environ["POWERTOOLS_SERVICE_NAME"] = "tests"

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


@pytest.fixture(scope="session", autouse=True)
def service_models() -> Iterator[None]:
    """Share botocore's parsed service models: to parse them again takes 0.3 s an account."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", cache(create_loader))
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes `-n auto` starts: one more than there are cores.

    Each waits for its servers a sixth of the time. Four at most, because each with its servers
    takes 2 GB.
    """
    return min((os.cpu_count() or 1) + 1, 4)
