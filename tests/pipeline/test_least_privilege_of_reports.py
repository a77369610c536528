"""The role of serve has what it needs, and nothing that it can do without.

As the roles of the other functions: under it, on a local AWS that enforces IAM.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployer.configuration.settings import Settings
from functions.common.loaded import LoadedMarker, Warehouse
from functions.common.logs import MarkerLog
from functions.common.manifests import Source
from functions.common.storage import Bucket
from local.emulator import Emulator
from tests import postgres_fixtures
from tests.pipeline.roles import Roles, deployed, without_need

TOKEN = "x" * 32
NOW = datetime(2024, 11, 16, tzinfo=UTC)
MARKER = LoadedMarker(
    number=1,
    batch=7,
    written_at=NOW,
    run="1",
    source=Source("1", 1, "live", NOW),
    warehouse=Warehouse("1", "warehouse", 1, "public", NOW, {}),
    since=1,
    has={},
    evidence={},
    rows={},
    age_seconds=1.0,
    refused={},
    tried_at=None,
    definitions="",
)


@pytest.fixture
def roles(
    local_aws: Emulator,
    new_warehouse: Callable[..., postgres_fixtures.Warehouse],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Roles:
    """A deployment in its own account, with a prepared warehouse."""
    settings = Settings.read(
        {
            "SOURCE_DATABASE_URL": "postgresql://reader:one@127.0.0.1/totesys",
            "WAREHOUSE_DATABASE_URL": new_warehouse().loader_url,
            "REPORTS_TOKEN": TOKEN,
        }
    )
    environment = {**local_aws.environment, "AWS_ACCESS_KEY_ID": "777777777779"}
    return deployed(settings, environment, monkeypatch, tmp_path)


def test_no_right_of_serve_can_be_done_without(roles: Roles) -> None:
    """Take away any grant of its role: a call that it makes is refused."""
    bucket = Bucket(roles.account.clients.s3, roles.names.bucket("processed"))
    assert MarkerLog(bucket, "source").claim(MARKER)
    event = {
        "rawPath": "/payments/next5",
        "headers": {"authorization": f"Bearer {TOKEN}"},
        "requestContext": {"requestId": "1", "http": {"method": "GET"}},
    }

    answer = roles.run("serve", event)

    assert answer["statusCode"] == 200
    assert '"batch":7' in answer["body"]
    assert without_need(roles, "serve") == ([], [])
