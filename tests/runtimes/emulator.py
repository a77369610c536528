"""AWS's runtime interface emulator: it runs a function by the runtime's own client, as Lambda does.

The emulator is AWS's binary and the client AWS's package; the interpreter is this machine's, and
the code and packages are those of the zips and layers that are deployed.
"""

import hashlib
import io
import json
import os
import platform
import signal
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from deployer.packaging.installer import install
from deployer.packaging.packages import ROOT, build_function_zip, build_layer, platform_options
from deployer.resources import specs
from deployer.resources.names import FunctionUse
from etl.loading import load
from local import processes

ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
START_SECONDS = 60
OPTIONS = ("--log-level", "error")


@dataclass(frozen=True)
class Runtime:
    """The runtime of a Python version: its interpreter, and what AWS installs beside it."""

    python: str
    interpreter: str
    libraries: Path

    @contextmanager
    def function(
        self, use: FunctionUse, pipeline: str, environment: Mapping[str, str], folder: Path
    ) -> Iterator["Function"]:
        """Run a function with its layers, unpacked in `folder`, until the block ends."""
        paths = self._unpacked(use, pipeline, folder)
        with processes.bind(0) as one, processes.bind(0) as another:
            ports = processes.port_of(one), processes.port_of(another)
        addresses = [f"127.0.0.1:{port}" for port in ports]
        command = [
            *(str(emulator()), *OPTIONS, "--runtime-interface-emulator-address", addresses[0]),
            *("--runtime-api-address", addresses[1]),
            *(self.interpreter, "-m", "awslambdaric", f"functions.{use}.handler.handler"),
        ]
        given = {
            **{name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ},
            **environment,
            "AWS_LAMBDA_FUNCTION_NAME": use,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "300",
            "LAMBDA_TASK_ROOT": str(paths[0]),
            "PIPELINE": pipeline,
            "POWERTOOLS_METRICS_NAMESPACE": "runtimes",
            "POWERTOOLS_SERVICE_NAME": use,
            # The order in which Lambda looks: the function, its layers, the runtime.
            "PYTHONPATH": os.pathsep.join(map(str, (*paths, self.libraries))),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        log_file = folder / f"{pipeline}-{use}.log"
        with log_file.open("ab") as log:
            running = subprocess.Popen(
                command, cwd=paths[0], env=given, stdout=log, stderr=log, start_new_session=True
            )
            try:
                yield Function(ports[0], log_file, running)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)
                running.wait()

    def _unpacked(self, use: FunctionUse, pipeline: str, folder: Path) -> list[Path]:
        """Unpack the zip of a function and its layers; return what they put on the path."""
        task, declared = folder / pipeline / use, load(pipeline)
        package = build_function_zip(use, pipeline, specs.parts(use, declared))
        with zipfile.ZipFile(io.BytesIO(package.data)) as archive:
            archive.extractall(task)
        layers = specs.layers_of(use, pipeline, declared)
        return [task, *(self._layer(each, pipeline, folder) / "python" for each in layers)]

    def _layer(self, name: str, pipeline: str, folder: Path) -> Path:
        """Unpack a layer once, and return where."""
        own = specs.requirements(pipeline) if name == specs.OWN_LAYER else None
        place = folder / f"{name}-{pipeline if own else 'layer'}"
        if not place.exists():
            built = build_layer(name, self.python, ARCHITECTURE, host=False, requirements=own)
            with zipfile.ZipFile(built.path) as archive:
                archive.extractall(place)
        return place


@dataclass(frozen=True)
class Function:
    """A function that is running."""

    port: int
    log: Path
    process: "subprocess.Popen[bytes]"

    def invoke(self, event: Mapping[str, Any]) -> Any:
        """Return the answer to an event.

        Raises:
            AssertionError: the emulator ended, or did not start in time; with its log.
        """
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                return self._post(json.dumps(event).encode())
            except urllib.error.URLError:
                time.sleep(0.1)
        raise AssertionError(f"the emulator did not start: {self.log.read_text()[-2000:]}")

    def _post(self, body: bytes) -> Any:
        path = "2015-03-31/functions/function/invocations"
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", body, 300) as answer:
            return json.loads(answer.read())


@cache
def emulator() -> Path:
    """Install the emulator's binary once, and return its path."""
    folder = _installed("lambda-emulator", ())
    machine = ARCHITECTURE
    binary = folder / "samcli" / "local" / "rapid" / f"aws-lambda-rie-{machine}"
    binary.chmod(0o755)
    return binary


@cache
def runtime(python: str, interpreter: str) -> Runtime:
    """Install what AWS's runtime has beside the interpreter, once, and return the runtime."""
    options = platform_options(python, ARCHITECTURE)
    return Runtime(python, interpreter, _installed("lambda-runtime", options))


def _installed(lock: str, options: tuple[str, ...]) -> Path:
    requirements = ROOT / "requirements" / f"{lock}.txt"
    facts = repr((requirements.read_text(), options))
    folder = ROOT / ".build" / f"{lock}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
    done = folder / "installed"
    if not done.exists():
        install(requirements, "--no-compile", "--upgrade", "--target", str(folder), *options)
        done.touch()
    return folder
