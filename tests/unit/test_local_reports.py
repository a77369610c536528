"""What the sandbox leaves for curl: who may ask, in a file that no command line shows."""

import json

from deployer.configuration.settings import Settings
from local.endpoints import token_settings
from local.shells import curl

REQUIRED = {
    "SOURCE_DATABASE_URL": "postgresql://reader:one@localhost/totesys",
    "WAREHOUSE_DATABASE_URL": "postgresql://loader:one@localhost/warehouse",
}


def test_a_sandbox_has_a_random_token_for_reports_that_is_a_valid_setting() -> None:
    """Each start has another one; a pipeline without reports has none."""
    declared = Settings.read(REQUIRED).declared
    first, second = (token_settings(declared.reports) for _ in range(2))

    assert first["REPORTS_TOKEN"] != second["REPORTS_TOKEN"]
    assert Settings.read(REQUIRED | first).reports.is_on
    assert token_settings([]) == {}


def test_curl_is_given_both_tokens_as_options() -> None:
    """That of the reports as a header, that of the local AWS in the `User-Agent`."""
    settings = Settings.read(REQUIRED | {"REPORTS_TOKEN": f"{'n' * 32} {'o' * 32}"})

    [(text, mode)] = curl(settings, "start").values()
    lines = text.splitlines()

    assert mode == 0o600
    options = dict(line.split(" = ") for line in lines if " = " in line)
    assert json.loads(options["header"]) == f"Authorization: Bearer {'n' * 32}"
    assert json.loads(options["user-agent"]) == "curl app/start"
