"""The function's modules as they are, again, after a test whose scene has given them its S3."""

import pytest

from functions.lake import files, tables


@pytest.fixture(autouse=True)
def _clients_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore what makes clients: other tests of the same process use a real S3."""
    for module in (files, tables):
        monkeypatch.setattr(module, "boto3", module.boto3)
