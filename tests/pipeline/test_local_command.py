"""`deploy.py local` as a person uses it: it comes up, goes on, ends whole, and explains itself."""

import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import deploy
from local import command
from local.connection import connect
from tests.pipeline.local_process import local, running, somebodys_folder
from tests.postgres_fixtures import Source, Warehouse

PROGRAM = Path(deploy.__file__)
UP = "Ctrl-C stops everything."
PATIENCE = 180.0
STAR = ["dim_location", "dim_counterparty", "dim_currency", "dim_design", "dim_payment_type",
        "dim_staff", "dim_transaction", "fact_sales_order", "fact_purchase_order", "fact_payment",
        "dim_sales_target", "fx_reference_rate", "dim_date"]  # fmt: skip


class Started:
    """A sandbox in its own process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.document: dict[str, Any] = {}
        self.out, self.err = directory.with_suffix(".out"), directory.with_suffix(".err")
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, PROGRAM, "local", "--json", "--scale=0.02", "--dir", directory],
                stdout=out,
                stderr=err,
                cwd=directory.parent,
                start_new_session=True,
            )

    def wait_until_up(self) -> None:
        """Wait for the document that it prints, and for what it says after that."""
        deadline = time.monotonic() + PATIENCE
        while UP not in self.err.read_text() and self.process.poll() is None:
            assert time.monotonic() < deadline, self.err.read_text()
            time.sleep(0.1)
        self.document = json.loads(self.out.read_text())

    def rows(self) -> dict[str, int]:
        """Return how many rows each star table had when it was up."""
        return {table["table"]: table["rows"] for table in self.document["tables"]}

    def end(self, number: signal.Signals) -> int:
        """Send a signal to the whole foreground group, as a terminal does; return the status."""
        os.killpg(self.process.pid, number)
        return self.process.wait(PATIENCE)

    def processes(self) -> list[str]:
        """Return the command lines of what still runs: in its folder, or as its local AWS."""
        return running(str(self.directory), (self.directory / "aws" / "lock").read_text())

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line in another terminal, in the folder above, with the settings it offers."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        program = f"{shlex.quote(sys.executable)} {shlex.quote(str(PROGRAM))}"
        settings = shlex.quote(str(self.directory / "env"))
        return subprocess.run(
            ["/bin/sh", "-ec", f'. {settings}; deploy() {{ {program} "$@"; }}; {line}'],
            env={**env, "DIRECTORY": str(self.directory)},
            cwd=self.directory.parent,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def up() -> Iterator[Started]:
    """A sandbox that is up, the first time; each test leaves it up but the last one."""
    with somebodys_folder() as folder:
        sandbox = Started(folder / "sandbox")
        try:
            sandbox.wait_until_up()
            yield sandbox
        finally:
            if sandbox.process.poll() is None:
                sandbox.end(signal.SIGINT)


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

    again = Started(up.directory)
    try:
        again.wait_until_up()
    finally:
        again.end(signal.SIGKILL)
    newest = [each.document["runs"][-1]["batches"]["source"] for each in (up, again)]
    assert newest[0] < newest[1]
    before, after = up.rows(), again.rows()
    assert before["dim_staff"] == after["dim_staff"] == 20
    assert before["fact_payment"] < after["fact_payment"] < before["fact_payment"] + 60
    deadline = time.monotonic() + 30
    while again.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert again.processes() == []


def test_databases_of_the_users_own(
    folder: Path,
    new_source: Callable[[], Source],
    new_warehouse: Callable[[str], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two databases of the user's are kept equal, with nothing of ours in them."""
    source, warehouse = new_source(), new_warehouse("stars")
    monkeypatch.setenv("WAREHOUSE_SCHEMA", "stars")
    monkeypatch.setenv("SOURCE_DATABASE_URL", source.reader_url)
    private = folder / "warehouse-url"
    private.touch(mode=0o600)
    private.write_text(warehouse.loader_url)

    status = local("--once", "--json", "--dir", folder / "sandbox", "--source-url", "env",
                   "--warehouse-url", f"@{private}")  # fmt: skip

    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (status, [run["batch"] for run in document["runs"]]) == (0, [1])
    with connect(source.superuser_url) as connection:
        [[orders]] = connection.run("SELECT count(*) FROM sales_order")
    [shown] = [t["rows"] for t in document["tables"] if t["table"] == "fact_sales_order"]
    assert shown == orders
    # A step that takes long on a slow machine has further lines: "extract … 15 s".
    steps = [line for line in err.splitlines()[:-2] if " … " not in line]
    assert [line[:69].rstrip() for line in steps] == [
        "check the source",
        "check the warehouse",
        "start AWS (ministack, IAM enforced)",
        "deploy the pipeline",
        "extract",
        "transform",
        "load",
        "page",
        "stop everything",
    ]


def test_it_stays_until_it_is_interrupted(
    folder: Path,
    new_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The shop goes on trading, how to look inside is said, and the table is 80 columns wide."""
    seconds = iter(range(0, 1000, 15))
    slept: list[float] = []

    def sleep(pause: float) -> None:
        slept.append(pause)
        if len(slept) == 4:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(command, "time", _Time(sleep, lambda: float(next(seconds))))

    status = local("--scale=0.02", "--dir", folder, "--warehouse-url", new_warehouse().loader_url)

    out, err = capsys.readouterr()
    psql = shlex.quote(str(folder / "psql"))
    assert (status, len(slept)) == (0, 4)
    assert f"\nsource     {psql} totesys\nAWS        http://127.0.0.1:" in err
    assert err.endswith(f"The data is kept in {folder}. The next start continues from there.\n")
    assert max(len(line) for line in out.splitlines()) <= 80
    words = [line.split()[0] for line in out.splitlines() if line]
    assert words[: words.index("seconds:")] == ["table", *STAR]


class _Time:
    """The module `time` for one that stays up."""

    def __init__(self, sleep: Callable[[float], None], monotonic: Callable[[], float]) -> None:
        self.sleep = sleep
        self.monotonic = monotonic
