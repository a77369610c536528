"""A deployment that looks changes up in the log of its source, and what is left when it goes."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployer.operations import doctor
from deployer.receipt import Entry
from tests.aws.conftest import HTTP_OK
from tests.aws.removing import teardown
from tests.aws.sandbox import Sandbox

SLOT = "totesys_etl_dev_123456789012_eu_west_2_source"
STATEMENT = f"run in the source: SELECT pg_drop_replication_slot('{SLOT}')"
LATE = "database shop at db: cannot be reached"


class Extract:
    """Extract's answer to being asked to drop its slots, and how often it was."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.answer: Any = {"slots": {"source": {"dropped": True}}}
        self.asked: list[Any] = []
        clients = sandbox.account.clients
        clients.invoking.meta.events.register("before-call.lambda.Invoke", self._invoke)

    def _invoke(self, params: dict[str, Any], **_: object) -> Any:
        self.asked.append(json.loads(params["body"]))
        body = io.BytesIO(json.dumps(self.answer).encode())
        return HTTP_OK, {"Payload": body, "StatusCode": 200}


@pytest.fixture
def logged(sandbox: Sandbox) -> Sandbox:
    """A deployment with SOURCE_CAPTURE=wal."""
    sandbox.settings = replace(sandbox.settings, captures={"source": "wal"})
    sandbox.start_deployed()
    return sandbox


def slots(entries: tuple[Entry, ...]) -> list[Entry]:
    return [entry for entry in entries if entry.kind == "slot"]


def test_teardown_has_extract_drop_its_slot_before_it_goes(logged: Sandbox) -> None:
    """A slot that is left fills the disk of the source."""
    extract = Extract(logged)

    listed = teardown(logged).look()
    receipt = teardown(logged).remove()

    assert ("slot", SLOT) in [(each.kind, each.name) for each in listed]
    assert extract.asked == [{"release": True}]
    assert slots(receipt.entries) == [Entry("slot", SLOT, "removed")]
    assert receipt.is_complete


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"slots": {"source": {"error": LATE}}}, LATE),
        ({"slots": {}}, "extract did not answer"),
        ({}, "extract did not answer"),
    ],
    ids=["source out of reach", "source left out", "earlier version"],
)
def test_the_receipt_has_the_statement_for_a_slot_that_stays(
    logged: Sandbox, answer: dict[str, Any], why: str
) -> None:
    """All else is removed, and the exit status says that something is left."""
    Extract(logged).answer = answer
    receipt = teardown(logged).remove()

    assert slots(receipt.entries) == [Entry("slot", SLOT, "stays", f"{why}: {STATEMENT}")]
    assert not receipt.is_complete
    assert {entry.outcome for entry in receipt.entries if entry.kind != "slot"} == {"removed"}


def test_a_slot_of_the_deployment_before_is_dropped_as_well(logged: Sandbox) -> None:
    """Extract drops it when it runs the next time, and a teardown may come first."""
    logged.settings = replace(logged.settings, captures={})
    logged.deploy()
    assert captures(logged) == {}
    extract = Extract(logged)
    receipt = teardown(logged).remove()

    assert extract.asked == [{"release": True}]
    assert slots(receipt.entries) == [Entry("slot", SLOT, "removed")]


def test_nothing_is_asked_of_a_deployment_that_scans(sandbox: Sandbox) -> None:
    """It has no slot."""
    sandbox.start_deployed()
    extract = Extract(sandbox)
    receipt = teardown(sandbox).remove()

    assert (extract.asked, slots(receipt.entries)) == ([], [])


def test_the_alarm_of_the_log_comes_and_goes_with_the_setting(logged: Sandbox) -> None:
    """Extract is deployed with the setting, and without it when it is scan again."""
    name = "totesys-etl-dev-log-retained"
    alarms = logged.account.clients.cloudwatch
    assert len(alarms.describe_alarms(AlarmNames=[name])["MetricAlarms"]) == 1
    assert captures(logged) == {"SOURCE_CAPTURE": "wal"}
    logged.settings = replace(logged.settings, captures={})
    logged.deploy()

    assert alarms.describe_alarms(AlarmNames=[name])["MetricAlarms"] == []
    assert captures(logged) == {}


@pytest.mark.parametrize(("hours", "state"), [(23, "to do"), (25, "ok")])
def test_doctor_asks_for_a_teardown_before_a_sandbox_expires(
    sandbox: Sandbox, hours: int, state: str
) -> None:
    """What expires with the account cannot drop its slot any more."""
    now = datetime(2025, 1, 31, tzinfo=UTC)
    settings = replace(
        sandbox.settings, captures={"source": "wal"}, expires_at=now + timedelta(hours=hours)
    )

    [finding] = doctor._expiry(settings, now)

    assert (finding.what, finding.state) == ("sandbox", state)
    assert ("teardown.py" in finding.next) == (state == "to do")


def captures(sandbox: Sandbox) -> dict[str, str]:
    """Return what extract is asked to do."""
    lambda_ = sandbox.account.clients.lambda_
    found = lambda_.get_function_configuration(FunctionName="totesys-etl-dev-extract")
    variables = found["Environment"]["Variables"]
    return {name: value for name, value in variables.items() if name.endswith("_CAPTURE")}
