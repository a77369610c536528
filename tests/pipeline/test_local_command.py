"""`deploy.py local` as a person uses it: it comes up, goes on, and ends whole."""

import json
import os
import re
import shlex
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import deploy
from tests.pipeline.ground import wait_until
from tests.pipeline.local_process import somebodys_folder
from tests.pipeline.started import Started, started

SCALE = "--scale=0.02"
STAR = ["dim_location", "dim_counterparty", "dim_currency", "dim_design", "dim_payment_type",
        "dim_staff", "dim_transaction", "fact_sales_order", "fact_purchase_order", "fact_payment",
        "dim_sales_target", "fx_reference_rate", "dim_date"]  # fmt: skip


@pytest.fixture(scope="module")
def up() -> Iterator[Started]:
    """A sandbox that is up, the first time; each test leaves it up but the last one."""
    with somebodys_folder() as folder, started(folder / "sandbox", SCALE) as sandbox:
        yield sandbox


def test_a_first_start_fills_the_warehouse(up: Started) -> None:
    """All tables are filled, and what the shop did after that arrived in seconds."""
    assert [run["batches"] for run in up.document["runs"]] == [
        {"source": 1, "targets": 1, "rates": 1},
        {"source": 2, "targets": None, "rates": None},
    ]
    assert [table["table"] for table in up.document["tables"]] == STAR
    assert min(table["rows"] for table in up.document["tables"]) > 0
    assert {(each["status"], each["batch"]) for each in up.document["reports"]} == {(200, 2)}
    [payments] = [t for t in up.document["tables"] if t["table"] == "fact_payment"]
    assert (payments["batch"], 0 < payments["seconds"] < 120) == (2, True)


def test_the_page_is_a_file_and_any_terminal_can_ask_for_it(up: Started) -> None:
    """The first cycle leaves the page for its user alone; `page` finds the newest one."""
    page = Path(up.document["page"])
    asked = up.shell("deploy page --json")

    assert page.is_relative_to(up.directory)
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert "Sales by week" in page.read_text()
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["url"].startswith("file:///")


def test_no_password_is_printed(up: Started) -> None:
    """Nothing on the screen, nor in the document, opens a database or the local AWS."""
    secrets = json.loads((up.directory / "postgres" / "passwords.json").read_text())
    [secrets["AWS"]] = re.findall(r"AWS_SDK_UA_APP_ID=(\w+)", (up.directory / "env").read_text())
    shown = up.out.read_text() + up.err.read_text()

    assert [name for name, secret in secrets.items() if secret in shown] == []


def test_the_folder_is_closed_to_others(up: Started) -> None:
    """Others can see nothing of the sandbox; as root, `nobody` may pass through."""
    mode = stat.S_IMODE(up.directory.stat().st_mode)

    assert mode == (0o711 if os.geteuid() == 0 else 0o700)


def test_without_the_settings_another_terminal_is_refused(up: Started) -> None:
    """Without the private `env` a command is refused, and says what to do."""
    refused = up.shell("unset AWS_SDK_UA_APP_ID; deploy status")

    assert refused.returncode == 1
    assert "AccessDenied" in refused.stderr
    assert "set the variables of its env file first" in refused.stderr


def test_what_other_terminals_need_is_private(up: Started) -> None:
    """The files with passwords can be read by their owner alone."""
    modes = {
        name: stat.S_IMODE((up.directory / name).stat().st_mode)
        for name in ("env", "pgpass", "psql")
    }

    assert modes == {"env": 0o600, "pgpass": 0o600, "psql": 0o700}
    psql = shlex.quote(str(up.directory / "psql"))
    assert f"\nsource     {psql} totesys\nwarehouse  {psql} warehouse\n" in up.err.read_text()


def test_a_run_from_another_terminal_brings_a_silent_change(up: Started) -> None:
    """The psql that is offered works, and a change made with it is in the warehouse a run later."""
    changed = up.shell(
        '"$DIRECTORY/psql" totesys -qc "UPDATE sales_order SET staff_id = staff_id % 20 + 1'
        ' WHERE sales_order_id = 1"; deploy run --json'
    )
    seen = up.shell(
        '"$DIRECTORY/psql" -Atc "SELECT count(*), count(DISTINCT sales_staff_id)'
        ' FROM fact_sales_order WHERE sales_order_id = 1"'
    )

    assert (changed.returncode, seen.stdout) == (0, "2|2\n"), changed.stderr
    result = json.loads(changed.stdout)
    assert result.keys() == {
        "batches",
        "batch",
        "rows",
        "loaded",
        "quarantined",
        "stopped",
        "waiting",
        "refused",
        "exports",
        "seconds",
    }


def test_another_terminal_can_reconcile_replay_and_see_the_status(up: Started) -> None:
    """All commands work against the sandbox: its functions have the rights that they need."""
    replayed = up.shell("deploy replay 1 --source source --json")
    batch = json.loads(replayed.stdout)["batches"]["source"]
    assert (replayed.returncode, batch > 1) == (0, True), replayed.stderr

    status = up.shell("deploy status --json")
    assert status.returncode == 0, status.stderr
    found = json.loads(status.stdout)
    assert found["is_deployed"] is True
    assert found["sources"]["source"]["batches"]["load"]["number"] >= batch


def test_a_shop_that_trades_agrees_with_its_warehouse(up: Started) -> None:
    """The shop's latest changes count as pending, and the exit status is 0 all the while."""
    trade = '"$DIRECTORY/psql" totesys -qc "UPDATE sales_order SET units_sold = units_sold % 9 + 1"'
    pending = 0
    for _ in range(5):
        reconciled = up.shell(f"{trade}; deploy reconcile --json")
        assert reconciled.returncode == 0, reconciled.stdout
        tables = json.loads(reconciled.stdout)["tables"]
        assert len(tables) == 12
        pending += tables["fact_sales_order"]["pending"]
        if pending:
            break
    assert pending > 0


def test_damage_by_hand_is_repaired_while_the_shop_trades(up: Started) -> None:
    """Damage ends the agreement, exit status 1; a repair restores it, exit status 0."""
    damage = (
        "UPDATE fact_payment SET payment_amount = -1 WHERE payment_id <= 3;"
        " UPDATE dim_design SET design_name = 'x' WHERE design_id = 1;"
        " DELETE FROM fact_purchase_order WHERE purchase_order_id = 1;"
        " INSERT INTO dim_payment_type VALUES (77, 'BARTER')"
    )
    damaged = up.shell(f'"$DIRECTORY/psql" -qc "{damage}"; deploy reconcile --json')
    found = json.loads(damaged.stdout)["tables"]
    assert (damaged.returncode, found["dim_payment_type"]["extra"]) == (1, 1), damaged.stderr
    assert found["fact_payment"]["different"] + found["fact_payment"]["pending"] >= 3

    repaired = up.shell("deploy reconcile --repair --json")
    document = json.loads(repaired.stdout)
    assert (repaired.returncode, document["agrees"]) == (0, True), repaired.stdout
    assert document["tables"]["dim_payment_type"]["deleted"] == 1
    assert document["repaired"]["batches"]["source"] > 1
    assert up.shell("deploy reconcile --json").returncode == 0


def test_another_terminal_can_plan_and_deploy(up: Started) -> None:
    """A second deployment has all settings at hand, and finds nothing to change."""
    planned, deployed = up.shell("deploy plan --json"), up.shell("deploy --json")

    assert (planned.returncode, deployed.returncode) == (0, 0), planned.stdout
    assert json.loads(planned.stdout)["changes"] == json.loads(deployed.stdout)["changes"] == []


def test_a_second_sandbox_in_the_same_folder_is_refused(
    up: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two cannot have one folder: the second says so at once, and the first goes on."""
    status = deploy.main(["local", "--dir", str(up.directory)])

    assert (status, capsys.readouterr().err) == (
        1,
        (
            f"error: process {up.process.pid} has a sandbox in {up.directory}: stop that one first "
            "(Ctrl-C), or choose another folder (--dir)\n"
        ),
    )
    assert up.process.poll() is None


def test_ctrl_c_leaves_nothing_and_a_second_start_goes_on(up: Started) -> None:
    """Ctrl-C ends all processes; the next start counts on, and even kill -9 leaves none."""
    assert (up.end(signal.SIGINT), up.processes()) == (0, [])
    left = sorted(path.name for path in up.directory.iterdir())
    assert left == ["aws", "lock", "page.html", "pipeline", "postgres"]

    again = Started(up.directory, SCALE)
    try:
        again.wait_until_up()
    finally:
        again.end(signal.SIGKILL)
    newest = [each.document["runs"][-1]["batches"]["source"] for each in (up, again)]
    assert newest[0] < newest[1]
    before, after = up.rows(), again.rows()
    assert before["dim_staff"] == after["dim_staff"] == 20
    assert before["fact_payment"] < after["fact_payment"] < before["fact_payment"] + 60
    wait_until(lambda: not again.processes(), "all processes have ended")
