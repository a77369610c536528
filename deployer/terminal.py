"""Output at the terminal: progress on stderr, results on stdout.

In a terminal the step at work is shown with its seconds; elsewhere there is one plain line for
each step that is done, and one now and then for a step that is not. NO_COLOR is respected. With
`json_only`, stdout gets one JSON document.

All that is printed is text and nothing else: names from a database or from AWS can neither move
the cursor nor add a line, and no `[markup]` is interpreted.
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
from deployer.steps import Event, Started

# A file or a pipe has no width.
PLAIN_WIDTH = 80
# Nobody should wonder for longer whether a step still goes on; CI systems neither.
PULSE_SECONDS = 15.0


class Terminal:
    """The terminal that a command reports to."""

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
        self._at_work: dict[tuple[str, str], str] = {}
        self._answered = False

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show a step while it lasts, and then that it is done, with its seconds."""
        began = self._clock()
        self._at_work.clear()
        shown = self._live if self._progress.is_terminal else self._pulse
        with shown(lambda: self._state(what, self._clock() - began)):
            yield
        self.note(f"{what:<69}{self._clock() - began:>9.1f} s")

    def note(self, text: str) -> None:
        """Print a line of progress, never broken: it may be copied from here."""
        self._progress.print(text, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Report a failure after which the rest goes on."""
        self._progress.print(Text(printable(text), "red"))

    def log(self, line: str) -> None:
        """Show a line of a log, cut to the width of the terminal."""
        if self._progress.is_terminal:
            self._progress.print(line, no_wrap=True, overflow="ellipsis")
        else:
            self.note(line)

    def working(self, event: Event) -> None:
        """Record what a deployment is working on, for the step that is shown."""
        match event:
            case Started("layer", name):
                self._at_work["layer", name] = f"layer {name} (built once)"
            case Started(kind, name):
                self._at_work[kind, name] = f"{kind} {name}"
            case Change():
                self._at_work.pop((event.kind, event.name), None)

    def event(self, event: Event) -> None:
        """Report an event of a deployment: what it changed and what it had to wait for."""
        self.working(event)
        match event:
            case Change(action="left") | Started():
                pass
            case Change():
                self.note(f"  {event.action:<8} {event.kind:<13} {event.name}")
            case Waited():
                self.note(f"  waited {event.seconds:.0f} s for {event.waiting_for}")

    def result(self, document: dict[str, Any], *shown: RenderableType) -> None:
        """Print the command's result: `document` as JSON, or what is `shown` to a person."""
        if self.json_only:
            sys.stdout.write(json.dumps(document, default=str) + "\n")
            sys.stdout.flush()
            self._answered = True
        else:
            for part in shown:
                for line in part.split("\n") if isinstance(part, str) else [part]:
                    self._results.print(line)

    def error(self, message: str) -> None:
        """Print what ended the command, one line for each problem."""
        if self.json_only and not self._answered:
            self.result({"error": message})
        for line in message.splitlines():
            self._progress.print(Text.assemble(("error: ", "bold red"), printable(line)))

    def _state(self, what: str, seconds: float) -> str:
        """Return the state of a step; of several parts at work the longest-running is named."""
        longest = next(iter(list(self._at_work.values())), None)
        return f"{what}{f': {longest}' if longest else ''} … {seconds:.0f} s"

    @contextmanager
    def _live(self, state: Callable[[], str]) -> Iterator[None]:
        """Show the state with a spinner, always on the last line."""
        spinner = Spinner("dots")

        def now() -> RenderableType:
            spinner.update(text=Text(printable(state())[: self._progress.width - 4]))
            return spinner

        with Live(get_renderable=now, console=self._progress, transient=True, refresh_per_second=8):
            yield

    @contextmanager
    def _pulse(self, state: Callable[[], str]) -> Iterator[None]:
        """Print the state now and then."""
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
    """Return a text as one line in which control characters are shown and not interpreted.

    A function's message may quote a row or a name of the source: it must not make a terminal clear
    the screen, nor mislead a reader by text that runs from right to left.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def table(*columns: str, numbers: frozenset[str] = frozenset()) -> Table:
    """Return an empty table, the columns in `numbers` to the right."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", no_wrap=True)
    return made


class _TextConsole(Console):
    """A console that prints strings as they are, and nothing that a terminal would interpret."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string as one line of text; it holds no markup."""
        chosen = {
            name: options[name] for name in ("style", "justify", "overflow") if name in options
        }
        return Text(printable(text), **chosen)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield what is printed; whatever it comes from, only its style may be an escape."""
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
