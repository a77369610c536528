"""The first day in an account, command by command, as docs/first-day.md shows it."""

import io
import os
import re
import shlex
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from uuid import uuid4

import pytest

import deploy
import teardown
from local.emulator import Emulator
from tests.documentation import ROOT, blocks
from tests.postgres_fixtures import Source, Warehouse

PAGE = ROOT / "docs" / "first-day.md"
COMMANDS = {"deploy.py": deploy.main, "teardown.py": teardown.main}
ELIDED = "…"


def normalised(line: str) -> str:
    """Return a line without what differs between days: numbers, times, and the width of gaps."""
    line = re.sub(r"http://[\w.:]+", "URL", line)
    return re.sub(r"\s+", " ", re.sub(r"\d[\d,.:-]*", "N", line)).strip()


def test_the_first_day_is_as_the_page_says(
    local_aws: Emulator,
    new_source: Callable[[], Source],
    new_warehouse: Callable[[], Warehouse],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Each command ends as shown, prints these lines in this order, and at last nothing is left."""
    environment = {
        **{name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ},
        **local_aws.environment,
        "AWS_ACCESS_KEY_ID": f"{uuid4().int % 10**12:012}",
        "SOURCE_DATABASE_URL": new_source().reader_url,
        "WAREHOUSE_DATABASE_URL": new_warehouse().loader_url,
        "ALERT_EMAIL": "team@example.com",
        "EXTRACT_SCHEDULE": "rate(1 day)",
        "LOAD_SCHEDULE": "rate(1 day)",
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr("deployer.teardown.QUIET_SECONDS", 0)
    shown = [each for each in blocks() if each.page == PAGE and each.language == "console"]
    assert shown

    for block in shown:
        first, *lines = block.text.splitlines()
        _, _, program, *arguments = shlex.split(first.partition("  #")[0])
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):
            status = COMMANDS[program](arguments)
        left = iter(normalised(line) for line in printed.getvalue().splitlines())
        for line in filter(None, map(normalised, lines)):
            assert line == ELIDED or line in left, (block.name, line, printed.getvalue())
        assert status == (3 if arguments == ["plan"] else 0), printed.getvalue()
