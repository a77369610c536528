"""`deploy.py local` between databases of the user's own."""

import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from local import command
from local.connection import connect
from tests.pipeline.local_process import local
from tests.postgres_fixtures import Source, Warehouse

STEP = re.compile(r"^(.+?) +\d+\.\d s$", re.MULTILINE)


class _Time:
    """The module `time` for one that stays up: SIGTERM comes in the fourth pause."""

    def __init__(self) -> None:
        self.pauses = 0

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self.pauses += 1
        if self.pauses == 4:
            signal.raise_signal(signal.SIGTERM)


def test_databases_of_the_users_own(
    folder: Path,
    new_source: Callable[[], Source],
    new_warehouse: Callable[[str], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two databases of the user's are kept equal until SIGTERM, and no server is started."""
    source, warehouse = new_source(), new_warehouse("stars")
    monkeypatch.setenv("WAREHOUSE_SCHEMA", "stars")
    monkeypatch.setenv("SOURCE_DATABASE_URL", source.reader_url)
    private = folder / "warehouse-url"
    private.touch(mode=0o600)
    private.write_text(warehouse.loader_url)
    monkeypatch.setattr(command, "time", clock := _Time())

    status = local("--dir", folder / "sandbox", "--source-url", "env",
                   "--warehouse-url", f"@{private}")  # fmt: skip

    out, err = capsys.readouterr()
    assert (status, clock.pauses) == (0, 4)
    with connect(source.superuser_url) as connection:
        orders = connection.run("SELECT count(*) FROM sales_order")
    with connect(warehouse.superuser_url) as connection:
        assert connection.run("SELECT count(*) FROM stars.fact_sales_order") == orders
    # A step that takes long on a slow machine has further lines: "extract … 15 s".
    assert [step for step in STEP.findall(err) if " … " not in step] == [
        "check the source",
        "check the warehouse",
        "start AWS (ministack, IAM enforced)",
        "deploy the pipeline",
        "check each function",
        "extract",
        "transform",
        "load",
        "page",
        "stop everything",
    ]
    env = shlex.quote(str(folder / "sandbox" / "env"))
    assert f"\ncommands   . {env}; python deploy.py run\n" in err
    assert "psql" not in err
    assert err.endswith(
        f"The data is kept in {folder / 'sandbox'}. The next start continues from there.\n"
    )
    assert max(len(line) for line in out.splitlines()) <= 80
    assert out.split()[:2] == ["table", "rows"]
