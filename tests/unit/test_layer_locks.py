"""The locked packages of the layers, beside those that come with the Lambda runtime."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCKS = [*ROOT.glob("requirements/layer-*.txt"), *ROOT.glob("pipelines/*/requirements.txt")]
PINNED = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)
# What Lambda's boto3 imports, which finds a layer's package before the runtime's.
OF_THE_RUNTIME = [
    Requirement(line)
    for name in ("boto3", "botocore", "s3transfer", "python-dateutil")
    for line in metadata.requires(name) or []
]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: f"{lock.parent.name}/{lock.name}")
def test_a_layer_holds_nothing_that_breaks_the_runtimes_boto3(lock: Path) -> None:
    """botocore needs python-dateutil below 3, for instance, and finds that of a layer first."""
    pinned = dict(PINNED.findall(lock.read_text()))
    refused = [
        f"{each.name}=={pinned[each.name]}, where boto3 needs {each}"
        for each in OF_THE_RUNTIME
        if each.name in pinned and not each.specifier.contains(pinned[each.name])
    ]

    assert pinned
    assert refused == []


def test_every_layer_with_dates_limits_dateutil() -> None:
    """A new lock cannot bring a version that botocore does not accept."""
    declared = (ROOT / "pyproject.toml").read_text()
    with_dates = [lock for lock in LOCKS if "python-dateutil==" in lock.read_text()]

    assert len(with_dates) == declared.count('"python-dateutil<3"') == 4
