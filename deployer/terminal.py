"""Output at the terminal: progress on stderr, results on stdout.

A terminal shows the current step with its seconds; a file or a pipe gets one plain line for each
finished step, and one every 15 seconds for an unfinished one. NO_COLOR is respected. With
`json_only`, stdout gets one JSON document.

Only text is printed: names from a database or from AWS can neither move the cursor nor add a line,
and no `[markup]` is interpreted.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.segment import Segment
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from deployer.aws.changes import Change
from deployer.aws.waiting import Waited
from deployer.steps import Event, Started, Waiting

# A file or a pipe has no width.
PLAIN_WIDTH = 80
# CI systems take a job without output for dead, and so do people.
PULSE_SECONDS = 15.0


class Terminal:
    """What a command prints to: progress, warnings, errors and its result."""

    def __init__(
        self,
        json_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
        pulse_seconds: float = PULSE_SECONDS,
    ) -> None:
        self.json_only = json_only
        self._progress = _console(stderr=True)
        self._results = _console(stderr=False)
        self._clock = clock
        self._pulse_seconds = pulse_seconds
        self._working_on: dict[tuple[str, str], str] = {}
        self._answered = False

    @property
    def width(self) -> int:
        """How many characters a line of a result may have."""
        return self._results.width

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show a step while it lasts, and its seconds when it is done."""
        began = self._clock()
        self._working_on.clear()
        shown = self._live if self._progress.is_terminal else self._pulse
        with shown(lambda: self._state(what, self._clock() - began)):
            yield
        self.note(f"{what:<69}{self._clock() - began:>9.1f} s")

    def note(self, text: str) -> None:
        """Print a line of progress without breaking it: it may be copied."""
        self._progress.print(text, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a problem that does not end the command."""
        self._progress.print(Text(printable(text), "red"))

    def log(self, line: str) -> None:
        """Print a line of a log, truncated to the width of the terminal."""
        if self._progress.is_terminal:
            self._progress.print(line, no_wrap=True, overflow="ellipsis")
        else:
            self.note(line)

    def working(self, event: Event) -> None:
        """Record what a deployment is working on, to show it with the step."""
        match event:
            case Started("layer", name):
                self._working_on["layer", name] = f"layer {name} (built once)"
            case Started(kind, name):
                self._working_on[kind, name] = f"{kind} {name}"
            case Change():
                self._working_on.pop((event.kind, event.name), None)

    def doing(self, what: str) -> None:
        """Record how far a step has come, to show it with the step."""
        self._working_on = {("", ""): what}

    def event(self, event: Event) -> None:
        """Print an event of a deployment: a change, or a wait."""
        self.working(event)
        match event:
            case Change(action="left") | Started():
                pass
            case Change():
                self.note(f"  {event.action:<8} {event.kind:<13} {event.name}")
            case Waiting():
                self.note(f"  waiting for {event.waiting_for}")
            case Waited():
                self.note(f"  waited {event.seconds:.0f} s for {event.waiting_for}")

    def result(self, document: dict[str, Any], *shown: RenderableType) -> None:
        """Print the command's result: `document` as JSON, or `shown` for a person."""
        if self.json_only:
            sys.stdout.write(json.dumps(document, default=str) + "\n")
            sys.stdout.flush()
            self._answered = True
        else:
            for part in shown:
                for line in part.split("\n") if isinstance(part, str) else [part]:
                    self._results.print(line)

    def error(self, message: str) -> None:
        """Print why the command failed, one line for each problem."""
        if self.json_only and not self._answered:
            self.result({"error": message})
        for line in message.splitlines():
            self._progress.print(Text.assemble(("error: ", "bold red"), printable(line)))

    def _state(self, what: str, seconds: float) -> str:
        """Return the state of a step with what it has been working on for longest."""
        longest = next(iter(list(self._working_on.values())), None)
        return f"{what}{f': {longest}' if longest else ''} … {seconds:.0f} s"

    @contextmanager
    def _live(self, state: Callable[[], str]) -> Iterator[None]:
        """Show the state with a spinner, on the last line."""
        spinner = Spinner("dots")

        def now() -> RenderableType:
            spinner.update(text=Text(printable(state())[: self._progress.width - 4]))
            return spinner

        with Live(get_renderable=now, console=self._progress, transient=True, refresh_per_second=8):
            yield

    @contextmanager
    def _pulse(self, state: Callable[[], str]) -> Iterator[None]:
        """Print the state every few seconds."""
        over = Flag()

        def report() -> None:
            while not over.wait(self._pulse_seconds):
                self.note(state())

        pulse = Thread(target=report, daemon=True)
        pulse.start()
        try:
            yield
        finally:
            over.set()
            pulse.join()


def printable(text: str) -> str:
    """Return a text as one line in which control characters are escaped.

    A function's message may quote a name of the source: it must neither clear the screen nor
    mislead a reader by text that runs from right to left.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def table(*columns: str, numbers: frozenset[str] = frozenset()) -> Table:
    """Return an empty table; the columns in `numbers` are right-aligned."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", no_wrap=True)
    return made


class _TextConsole(Console):
    """A console that prints strings as they are, without anything that a terminal interprets."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as one line of text; markup is not interpreted."""
        chosen = {
            name: options[name] for name in ("style", "justify", "overflow") if name in options
        }
        return Text(printable(text), **chosen)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield what is printed; only its style may be an escape sequence."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                text = "\n".join(printable(line) for line in segment.text.split("\n"))
                yield Segment(text, segment.style)


def _console(stderr: bool) -> Console:
    console = _TextConsole(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console = _TextConsole(stderr=stderr, highlight=False, width=PLAIN_WIDTH, soft_wrap=True)
    return console
