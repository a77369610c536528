"""What `LAKE=iceberg` deploys, and how it is removed again."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from deployer.errors import ConflictError
from deployer.operations.status import read_status
from deployer.resources.names import Names
from tests.aws.removing import teardown
from tests.aws.sandbox import Sandbox, everything_in, pending


def with_lake(sandbox: Sandbox, schedule: str = "rate(15 minutes)") -> Names:
    """Switch Iceberg tables on, and return the names of the deployment."""
    sandbox.settings = replace(sandbox.settings, lake="iceberg", lake_schedule=schedule)
    return Names.of(sandbox.settings, sandbox.account.id, sandbox.account.region)


def test_a_database_a_function_and_its_schedule_are_deployed(sandbox: Sandbox) -> None:
    """The function has a layer and a role to itself; a second deployment writes nothing."""
    names = with_lake(sandbox)
    sandbox.deploy()
    clients = sandbox.account.clients
    function = clients.lambda_.get_function(FunctionName=names.function("lake"))["Configuration"]

    assert clients.glue.get_database(Name="totesys_etl_dev")["Database"]["Name"]
    assert clients.glue.get_tags(ResourceArn=names.lake_database_arn)["Tags"]["stage"] == "dev"
    assert function["Environment"]["Variables"]["LAKE_DATABASE"] == "totesys_etl_dev"
    assert [layer["Arn"].split(":")[6] for layer in function["Layers"]] == [
        names.layer("arrow"), names.layer("lake"),
    ]  # fmt: skip
    rule = clients.events.describe_rule(Name=names.rule("lake-schedule"))
    assert rule["ScheduleExpression"] == "rate(15 minutes)"
    assert pending(sandbox.plan()) == []


def test_the_function_is_in_the_status_where_there_is_one(sandbox: Sandbox) -> None:
    """Without a lake there is no line about it."""
    names, now = with_lake(sandbox), datetime(2026, 11, 22, tzinfo=UTC)
    assert "lake" not in read_status(sandbox.account, names, ["source"], now).functions
    sandbox.deploy()
    assert read_status(sandbox.account, names, ["source"], now).functions["lake"]


def test_switched_off_it_no_longer_runs_and_switched_on_it_does(sandbox: Sandbox) -> None:
    """Nothing rings then, and the tables stay; a plan shows what goes."""
    names = with_lake(sandbox)
    sandbox.deploy()
    sandbox.settings = replace(sandbox.settings, lake="off")
    gone = [
        *(("alarm", names.alarm(f"lake-{each}")) for each in ("behind", "errors", "silence")),
        ("rule", names.rule("lake-schedule")),
    ]
    for change in (sandbox.plan, sandbox.deploy):
        assert [(c.kind, c.name) for c in change() if c.action == "removed"] == gone

    assert pending(sandbox.plan()) == []
    assert sandbox.account.clients.glue.get_database(Name=names.lake_database)
    with_lake(sandbox)
    sandbox.deploy()
    assert pending(sandbox.plan()) == []


def test_teardown_removes_the_database_with_its_tables(sandbox: Sandbox) -> None:
    """And all that belongs to it; the receipt names it, and without a lake has no line of it."""
    names = with_lake(sandbox)
    sandbox.deploy()
    glue = sandbox.account.clients.glue
    glue.create_table(DatabaseName=names.lake_database, TableInput={"Name": "sales"})

    receipt = teardown(sandbox).remove()

    assert receipt.is_complete
    removed = {entry.name for entry in receipt.entries if entry.outcome == "removed"}
    assert {names.lake_database, names.function("lake"), names.rule("lake-schedule")} <= removed
    assert glue.get_databases()["DatabaseList"] == []
    assert everything_in(sandbox.account) == []


@pytest.mark.parametrize("has_lake", [True, False])
def test_a_database_of_somebody_else_stays(sandbox: Sandbox, *, has_lake: bool) -> None:
    """It has the name that ours would have: it is not taken over, and no teardown removes it."""
    names = with_lake(sandbox)
    if not has_lake:
        sandbox.settings = replace(sandbox.settings, lake="off")
    glue = sandbox.account.clients.glue
    glue.create_database(DatabaseInput={"Name": names.lake_database})
    glue.create_table(DatabaseName=names.lake_database, TableInput={"Name": "sales"})

    if has_lake:
        with pytest.raises(ConflictError, match="was not made by a deployment"):
            sandbox.deploy()
    else:
        sandbox.deploy()
    receipt = teardown(sandbox).remove()

    assert receipt.is_complete
    assert names.lake_database not in str(receipt)
    assert glue.get_tables(DatabaseName=names.lake_database)["TableList"]
