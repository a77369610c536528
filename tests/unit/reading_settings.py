"""Shared by the tests of settings: the two addresses that a deployment needs, and refusals."""

import pytest

from deployer.configuration.settings import Settings
from deployer.errors import SettingsError

REQUIRED = {
    "SOURCE_DATABASE_URL": "postgresql://reader:s3cret@localhost/totesys",
    "WAREHOUSE_DATABASE_URL": "postgresql://loader:s3cret@db.example.com:6543/warehouse",
}

EXAMPLE = "postgresql://user:password@host:5432/database"


def problems(**changed: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.read({**REQUIRED, **changed})
    assert caught.value.exit_status == 2
    return list(caught.value.problems)
