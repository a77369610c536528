"""The command line in an empty folder, against an account that is not there."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

import deploy
from deployer.configuration.settings import Settings
from deployer.operations.pipeline import Run
from deployer.resources.costs import monthly_cost
from deployer.terminal import Terminal
from functions.common.telemetry import metrics

SETTINGS = {
    "SOURCE_DATABASE_URL": "postgresql://reader:s3cret@db.example.com/totesys",
    "WAREHOUSE_DATABASE_URL": "postgresql://loader:s3cret@db.example.com/warehouse",
}
COSTS = monthly_cost(Settings.read(SETTINGS))
ACCOUNT = SimpleNamespace(id="123456789012", region="eu-west-2", endpoint=None)
WHO = "account 123456789012, region eu-west-2, stage dev"
IN_NO_TIME = "       0.0 s"

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def no_metrics_of_others() -> Iterator[None]:
    """Drop what a test has counted without a handler, which would have written it."""
    yield
    metrics.clear_metrics()


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Return a function that runs a command in an empty folder: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr("deploy.account.connect", lambda *_, **__: ACCOUNT)
    monkeypatch.setattr("deploy.Terminal", partial(Terminal, clock=lambda: 0.0))
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        status = deploy.main(arguments)
        out, err = capsys.readouterr()
        return status, out, err

    return run


def running(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Let a run of the pipeline return this."""
    again = SimpleNamespace(
        sources=["source"],
        run=lambda *, now: replace(run, waiting=run.waiting if not now else {}),
        replay=lambda source, batch: replace(run, batches={source: batch + 1}),
    )
    monkeypatch.setattr(deploy, "Pipeline", lambda *_, **__: again)
