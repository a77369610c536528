"""Output at the terminal, compared whole."""

import json
import re
import threading
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.text import Text

from deployer.aws.changes import Change
from deployer.aws.waiting import Waited
from deployer.operations.output import pending_lines
from deployer.operations.status_view import status_view
from deployer.steps import Started
from deployer.terminal import Terminal, table
from tests.unit.test_status_view import EMPTY, QUIET


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a terminal of 80 columns."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


class Clock:
    """A clock that shows given times, the last one for ever."""

    def __init__(self, *times: float) -> None:
        self._times = list(times)

    def __call__(self) -> float:
        return self._times.pop(0) if len(self._times) > 1 else self._times[0]


@pytest.mark.usefixtures("plain")
def test_a_pipe_gets_one_plain_line_for_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    """In CI and in files there is a line of 80 columns for each step, with its seconds."""
    terminal = Terminal(clock=Clock(10.0, 12.34))

    with terminal.step("start PostgreSQL"):
        pass

    line = "start PostgreSQL                                                           2.3 s"
    assert capsys.readouterr() == ("", f"{line}\n")
    assert len(line) == 80


@pytest.mark.usefixtures("plain")
def test_a_step_that_fails_is_not_said_to_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    """A step that ends in an error leaves no line with its seconds."""
    terminal = Terminal()

    with pytest.raises(ZeroDivisionError), terminal.step("divide"):
        _ = 1 / 0

    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("plain")
def test_a_long_step_is_heard_of_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """While packages are built in CI, a line now and then says what is being done."""
    said = threading.Event()

    class Listening(Terminal):
        def note(self, text: str) -> None:
            super().note(text)
            said.set()

    terminal = Listening(clock=Clock(0.0, 15.0), pulse_seconds=0.001)

    with terminal.step("deploy the pipeline"):
        terminal.working(Started("layer", "totesys-etl-dev-pandas"))
        terminal.working(Started("bucket", "code"))
        said.clear()
        assert said.wait(10)

    assert "deploy the pipeline: layer totesys-etl-dev-pandas (built once) … 15 s" in (
        capsys.readouterr().err.splitlines()
    )


@pytest.mark.usefixtures("in_a_terminal")
def test_a_terminal_shows_how_far_a_step_has_come(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a step of many parts the newest is shown, and nothing of it in the next step."""
    terminal = Terminal(clock=Clock(0.0, 15.0, 15.0, 16.0))

    with terminal.step("verify the ledger"):
        terminal.doing("source/ingestion 40 of 90")
        terminal.doing("source/ingestion 80 of 90")
    with terminal.step("deploy the pipeline"):
        pass

    shown = capsys.readouterr().err
    assert "verify the ledger: source/ingestion 80 of 90 … " in shown
    assert "deploy the pipeline: source" not in shown


@pytest.mark.usefixtures("in_a_terminal")
def test_a_terminal_shows_the_step_at_work(capsys: pytest.CaptureFixture[str]) -> None:
    """A person sees a live line: the step, what it is at, and its seconds so far."""
    terminal = Terminal(clock=Clock(0.0, 15.0))

    with terminal.step("deploy the pipeline"):
        terminal.working(Started("bucket", "code"))
        terminal.working(Started("layer", "totesys-etl-dev-pandas"))
        terminal.working(Change("bucket", "code", "left"))

    shown = capsys.readouterr().err
    assert "deploy the pipeline: layer totesys-etl-dev-pandas (built once) … 15 s" in shown
    assert shown.endswith(f"deploy the pipeline{'':50}{15.0:9.1f} s\n")


@pytest.mark.usefixtures("plain")
def test_what_a_deployment_does_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """Changes and waits are reported; resources that were left alone are not."""
    terminal = Terminal()

    terminal.event(Started("bucket", "totesys-etl-dev-code"))
    terminal.event(Change("bucket", "totesys-etl-dev-code", "created"))
    terminal.event(Change("queue", "totesys-etl-dev-failed-events", "left"))
    terminal.event(Waited("Lambda to see the new role", 12.4))

    assert capsys.readouterr() == (
        "",
        (
            "  created  bucket        totesys-etl-dev-code\n"
            "  waited 12 s for Lambda to see the new role\n"
        ),
    )


@pytest.mark.usefixtures("plain")
def test_a_result_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """The result of a command can be piped on, apart from its progress."""
    shown = table("star table", "rows", numbers=frozenset({"rows"}))
    shown.add_row("dim_staff", "20")
    shown.add_row("fact_payment", "15,603")

    Terminal().result({"rows": 2}, shown, "that is all")

    assert capsys.readouterr() == (
        "star table      rows\ndim_staff         20\nfact_payment  15,603\nthat is all\n",
        "",
    )


@pytest.mark.usefixtures("plain")
def test_json_is_all_there_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json a program reads one document, and progress stays apart."""
    terminal = Terminal(json_only=True)

    terminal.note("on the way")
    terminal.warn("left out: table currency")
    terminal.result({"batch": None}, "nothing new")

    assert capsys.readouterr() == ('{"batch": null}\n', "on the way\nleft out: table currency\n")


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("json_only", [True, False])
def test_an_error_has_a_line_for_each_problem(
    json_only: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """All problems are named at once, in full and as they are; with --json also on stdout."""
    message = f"STAGE is [malformed]\n{'x ' * 100}end"

    Terminal(json_only=json_only).error(message)

    out, err = capsys.readouterr()
    assert err == f"error: STAGE is [malformed]\nerror: {'x ' * 100}end\n"
    assert out == (json.dumps({"error": message}) + "\n" if json_only else "")


@pytest.mark.usefixtures("plain")
def test_a_second_document_is_never_written(capsys: pytest.CaptureFixture[str]) -> None:
    """An error after the result goes to stderr alone: stdout stays one JSON document."""
    terminal = Terminal(json_only=True)

    terminal.result({"tables": []})
    terminal.error("the local AWS is gone")

    assert capsys.readouterr() == ('{"tables": []}\n', "error: the local AWS is gone\n")


@pytest.mark.usefixtures("in_a_terminal")
def test_an_error_is_red_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Errors stand out."""
    Terminal().error("port 4566 is taken")

    assert capsys.readouterr().err == "\x1b[1;31merror: \x1b[0mport 4566 is taken\n"


@pytest.mark.usefixtures("in_a_terminal")
def test_no_color_is_respected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With NO_COLOR nothing is coloured."""
    monkeypatch.setenv("NO_COLOR", "1")

    Terminal().warn("left out: table currency")

    assert capsys.readouterr().err == "left out: table currency\n"


@pytest.mark.usefixtures("in_a_terminal")
def test_a_log_line_fits_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A long log line is cut, so that each entry stays one line."""
    Terminal().log("x" * 200)

    assert capsys.readouterr().err == "x" * 79 + "…\n"


@pytest.mark.usefixtures("plain")
def test_a_log_line_is_whole_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no width nothing is cut."""
    Terminal().log("x" * 200)

    assert capsys.readouterr().err == "x" * 200 + "\n"


@pytest.mark.usefixtures("in_a_terminal")
def test_what_is_copied_is_not_broken_into_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """A long path in a command can be copied from a narrow terminal."""
    command = f"'/home/a user/{'x' * 90}/psql' warehouse"

    Terminal().note(command)

    assert capsys.readouterr().err == f"{command}\n"


def test_control_characters_of_others_are_shown_and_not_obeyed(
    plain: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A value of a row that a function quotes can neither clear the screen nor fake a line."""
    hostile = "'\x1b[2J\x1b]0;title\x07\u202e\r\nerror: none' [red]日本語[/red]"
    shown = "'\\x1b[2J\\x1b]0;title\\x07\\u202e\\r\\nerror: none' [red]日本語[/red]"
    terminal = Terminal()

    for say in (terminal.note, terminal.warn, terminal.log):
        say(hostile)
    terminal.error(hostile.replace("\r\n", ""))

    one_line = shown.replace("\\r\\n", "")
    assert capsys.readouterr().err.splitlines() == [shown] * 3 + [f"error: {one_line}"]


@pytest.mark.usefixtures("plain")
def test_markup_of_others_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    """A name of the source that looks like markup ends nothing and colours nothing."""
    hostile = "[/x] [red]a[/red] :smile: \x1b[2J"
    shown = table("star table")
    shown.add_row(hostile)
    shown.add_row(Text(hostile))

    Terminal().result({}, f"first\n{hostile}", shown)

    seen = "[/x] [red]a[/red] :smile: \\x1b[2J"
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "first",
        seen,
        "star table",
        seen,
        seen,
    ]


SGR = re.compile(r"\x1b\[[0-9;]*m")  # a colour: what the terminal itself adds


@pytest.mark.parametrize("where", ["plain", "in_a_terminal"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(hostile=st.text(min_size=1))
def test_nothing_that_is_printed_is_obeyed(
    where: str,
    hostile: str,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever the text, and wherever it is shown, only printable characters reach the terminal."""
    request.getfixturevalue(where)
    terminal = Terminal()
    shown = table("name", hostile)
    shown.add_row(hostile, Text(hostile, "red"))
    grid = status_view(
        replace(
            EMPTY,
            sources={hostile: replace(QUIET, stopped={hostile: hostile})},
            unconfirmed=[hostile],
        )
    )
    changed = Change("function", hostile, "updated", {hostile: (hostile, {hostile: hostile})})

    for say in (terminal.note, terminal.warn, terminal.log, terminal.error):
        say(hostile)
    terminal.event(Change("bucket", hostile, "created"))
    terminal.result({}, hostile, shown, *grid, pending_lines([changed]))
    Terminal(json_only=True).result({hostile: hostile})

    out, err = capsys.readouterr()
    for line in SGR.sub("", out + err).split("\n"):
        assert line.isprintable(), repr(line)
