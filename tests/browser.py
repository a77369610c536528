"""A real browser without a window: Chromium, driven over a pipe by the protocol of its tools.

https://chromedevtools.github.io/devtools-protocol/. Playwright would do the same, and brings 165 MB
of which a page without scripts needs nothing.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PACKAGE = "chromium-headless-shell"
NAMES = (PACKAGE, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOLDER = Path(__file__).resolve().parent.parent / ".build" / "browser"
SECONDS = 60.0
# It reads from 3 and writes to 4, which may be one of the pipes, or whatever a test has open.
START = """
import fcntl, os, sys
copies = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for copy, number in zip(copies, (3, 4)):
    os.dup2(copy, number)
os.execv(sys.argv[3], sys.argv[3:])
"""


class NoBrowserError(Exception):
    """Say why there is no browser on this machine."""


@dataclass(frozen=True)
class Program:
    """A browser, and where the libraries are that were fetched with it."""

    path: str
    libraries: tuple[str, ...] = ()


def program() -> Program:
    """Return the browser that is installed, or Debian's, which is fetched once without being root.

    Raises NoBrowserError where there is neither.
    """
    for name in NAMES:
        if found := shutil.which(name):
            return Program(found)
    if not (FOLDER / "ready").exists():
        _fetch()
    root = FOLDER / "root" / "usr" / "lib"
    libraries = sorted({str(path.parent) for path in root.glob("*-linux-gnu/**/*.so*")})
    return Program(str(root / "chromium" / PACKAGE), tuple(libraries))


def _fetch() -> None:
    """Unpack Debian's package, and those of the libraries that this machine lacks."""
    if not shutil.which("apt-get"):
        raise NoBrowserError(f"none of {', '.join(NAMES)} is installed, and there is no apt-get")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    plan = _run("apt-get", "-s", "install", "--no-install-recommends", PACKAGE)
    packages = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    _run("apt-get", "download", *packages)
    for package in FOLDER.glob("*.deb"):
        _run("dpkg", "-x", str(package), str(FOLDER / "root"))
        package.unlink()
    (FOLDER / "ready").touch()


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise NoBrowserError(f"{' '.join(command[:3])}: {said.strip().splitlines()[-1]}") from error
    return done.stdout


@dataclass
class Tab:
    """One page in a browser; `messages` are what it has said by itself."""

    _to: int
    _from: Any
    session: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    _calls: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; return its result."""
        self._calls += 1
        request = {"id": self._calls, "method": method, "params": parameters}
        if self.session:
            request["sessionId"] = self.session
        os.write(self._to, json.dumps(request).encode() + b"\0")
        while (message := self._next()).get("id") != self._calls:
            self.messages.append(message)
        if "error" in message:
            raise AssertionError(f"{method}: {message['error']}")
        result: dict[str, Any] = message["result"]
        return result

    def wait_for(self, event: str) -> None:
        """Read on until an event comes."""
        while (message := self._next()).get("method") != event:
            self.messages.append(message)

    def _next(self) -> dict[str, Any]:
        found = bytearray()
        while (byte := self._from.read(1)) != b"\0":
            if not byte:
                raise AssertionError("the browser has ended")
            found += byte
        message: dict[str, Any] = json.loads(found)
        return message

    def open(self, url: str) -> None:
        """Load a page, to its end."""
        self.messages.clear()
        self.call("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def complaints(self) -> list[str]:
        """Return what the console says: errors, warnings, violations of the content policy."""
        self.evaluate("1")  # whatever came before has arrived by now
        return [
            json.dumps(message["params"])
            for message in self.messages
            if message.get("method")
            in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        ]

    def look(self, *, width: int = 1280, dark: bool = False, media: str = "screen") -> None:
        """Be a screen of some width, in light or dark, or paper."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def screenshot(self) -> bytes:
        """Return a picture of the whole page, as PNG."""
        taken = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(taken["data"])

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            pressed = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", **pressed, **(text if kind == "keyDown" else {}))


@contextmanager
def tab(browser: Program) -> Iterator[Tab]:
    """Run a browser with one empty page; nothing stays running."""
    for_it, to = os.pipe()
    came, from_it = os.pipe()
    libraries = {"LD_LIBRARY_PATH": ":".join(browser.libraries)} if browser.libraries else {}
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        options = ["--headless", "--remote-debugging-pipe", f"--user-data-dir={folder}"]
        options += ["--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"]
        options += ["--no-sandbox"] if os.geteuid() == 0 or os.environ.get("CI") else []
        pipes = [str(for_it), str(from_it)]
        running = subprocess.Popen(
            [sys.executable, "-c", START, *pipes, browser.path, *options, "about:blank"],
            pass_fds=(for_it, from_it),
            env={**os.environ, **libraries},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(for_it)
        os.close(from_it)
        try:
            with os.fdopen(came, "rb") as answers:
                yield _attached(Tab(to, answers))
        finally:
            with suppress(OSError):
                os.close(to)
            running.kill()
            running.wait(SECONDS)


def _attached(browser: Tab) -> Tab:
    """Return the browser's only page, with what it says switched on."""
    found = browser.call("Target.getTargets")["targetInfos"]
    page = next(each["targetId"] for each in found if each["type"] == "page")
    attached = browser.call("Target.attachToTarget", targetId=page, flatten=True)
    browser.session = attached["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Accessibility"):
        browser.call(f"{domain}.enable")
    return browser
