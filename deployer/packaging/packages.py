"""The packages that are deployed: a zip of our code for each function, and dependency layers.

Both are reproducible, so that comparing hashes shows whether anything has to be uploaded. They
contain no setting and no secret.
"""

import ast
import hashlib
import io
import os
import shutil
import subprocess  # nosec B404
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Protocol

from deployer.packaging.archive import code_sha256, contents_sha256, files_below, write_zip
from deployer.packaging.installer import install
from deployer.packaging.slimming import slim

ROOT = Path(__file__).resolve().parents[2]
# Increase it when this module or `slimming` changes what a layer contains.
RECIPE_VERSION = 4
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
# The runtimes are on Amazon Linux 2023 (glibc 2.34), which supports both.
PLATFORMS = ("manylinux_2_28", "manylinux2014")

# Zips are built concurrently, and before Python 3.11.8 parsing in several threads fails at times.
# https://github.com/python/cpython/issues/106905
_PARSING = Lock()
OURS = ("etl", "functions", "pipelines")


@dataclass(frozen=True)
class Package:
    """A function's zip: its bytes, and their digest in the form of Lambda's `CodeSha256`."""

    data: bytes
    sha256: str


@dataclass(frozen=True)
class Layer:
    """A layer's zip on disk.

    `contents` is a digest of what it contains, without bytecode: equal wherever the layer is built,
    although another zlib compresses it to other bytes. `sha256` is that of these bytes, in the form
    of Lambda's `CodeSha256`; `size` and `unzipped` in bytes; `compiled` is whether it contains
    bytecode, without which importing pandas takes 2.1 s instead of 0.7 s.
    """

    name: str
    path: Path
    contents: str
    sha256: str
    size: int
    unzipped: int
    compiled: bool


class Packages(Protocol):
    """Builds zips and layers; this module is one."""

    def build_function_zip(self, name: str, pipeline: str, parts: Sequence[str]) -> Package:
        """Build the zip of a function, for a pipeline, with further parts of `functions`."""

    def build_layer(
        self, name: str, python: str, architecture: str, host: bool, *, requirements: Path | None
    ) -> Layer:
        """Build a layer for a Python such as 3.13, or, with `host`, for the one that runs this.

        `requirements` is the pipeline's file, None for that of the engine's layer of that name.
        """


def build_function_zip(
    name: str, pipeline: str, parts: Sequence[str] = (), root: Path = ROOT
) -> Package:
    """Build the zip of `functions/<name>` with the code that it uses, in milliseconds.

    That is the modules that it imports, the `parts` of `functions`, such as `sources/postgres`, and
    the pipeline `pipelines/<pipeline>`: its declaration, and the files beside it.

    The members are stored, not deflated: they are small, and the bytes then depend on the sources
    only and not on this machine's zlib.
    """
    functions = root / "functions"
    own = [path for part in ("common", name, *parts) for path in files_below(functions / part)]
    declared = root / "pipelines" / pipeline  # imported dynamically, by its name
    own += [path for path in files_below(declared) if path.parent == declared]
    packages = [functions / "__init__.py", declared.parent / "__init__.py"]
    files = [*packages, *own, *_borrowed(own, root)]
    members = {path.relative_to(root).as_posix(): path for path in files}
    target = io.BytesIO()
    write_zip(target, members, zipfile.ZIP_STORED)
    return Package(target.getvalue(), code_sha256(target.getvalue()))


def _borrowed(files: Iterable[Path], root: Path) -> list[Path]:
    """Return the other modules of ours that files import, directly or indirectly."""
    found, waiting = set(files), [path for path in files if path.suffix == ".py"]
    borrowed = []
    while waiting:
        for module in _imported(waiting.pop(), root):
            if module not in found:
                found.add(module)
                borrowed.append(module)
                waiting.append(module)
    return sorted(borrowed)


def _imported(path: Path, root: Path) -> Iterator[Path]:
    """Yield the files of our modules that a module imports, each with its package's `__init__`."""
    for name in _names_imported(path.read_text()):
        if name.partition(".")[0] in OURS:
            place = root.joinpath(*name.split("."))
            package = place.parent / "__init__.py"
            candidates = (place.with_suffix(".py"), place / "__init__.py", package)
            yield from (candidate for candidate in candidates if candidate.is_file())


@cache  # the zips of all functions share most modules
def _names_imported(text: str) -> tuple[str, ...]:
    with _PARSING:
        tree = ast.parse(text)
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return tuple(names)


def build_layer(
    name: str,
    python: str,
    architecture: str,
    host: bool,
    root: Path = ROOT,
    *,
    requirements: Path | None = None,
) -> Layer:
    """Build the layer of `requirements/layer-<name>.txt`, or reuse it when nothing has changed.

    `requirements` is another file to build it from; `python` the function's version, "3.13";
    `architecture` "arm64" or "x86_64". With `host` the layer is for the Python that runs this,
    which must have that version and architecture. Bytecode is compiled by an interpreter of that
    version, if this machine has one.

    Raises:
        InstallError: pip cannot install the wheels.
    """
    requirements = requirements or root / "requirements" / f"layer-{name}.txt"
    compiler = interpreter(python)
    recipe = _recipe(requirements, python, architecture, host, compiler is not None)
    path = root / ".build" / "layers" / f"{name}-{recipe}.zip"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        options = () if host else platform_options(python, architecture)
        _build(path, requirements, options, compiler)
    return _describe(name, path, compiler is not None)


def _build(path: Path, requirements: Path, options: tuple[str, ...], compiler: str | None) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        packages = Path(scratch) / "python"
        install(requirements, "--no-compile", "--target", str(packages), *options)
        slim(packages)
        members = {f"python/{p.relative_to(packages).as_posix()}": p for p in files_below(packages)}
        if compiler:
            _compile(packages, compiler)
            bytecode = packages.rglob("*.pyc")
            members |= {f"python/{p.relative_to(packages).as_posix()}": p for p in bytecode}
        finished = Path(scratch) / path.name
        with finished.open("wb") as target:
            write_zip(target, members, zipfile.ZIP_DEFLATED)
        finished.replace(path)


def _recipe(requirements: Path, python: str, architecture: str, host: bool, compiled: bool) -> str:
    """Return a digest of everything that determines what a layer contains."""
    platform = f"{sys.version} {sysconfig.get_platform()}" if host else ",".join(PLATFORMS)
    facts = (RECIPE_VERSION, python, architecture, platform, compiled, requirements.read_text())
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def platform_options(python: str, architecture: str) -> tuple[str, ...]:
    """Return pip's options for the wheels of a function."""
    platforms = [f"{family}_{MACHINES[architecture]}" for family in PLATFORMS]
    chosen = [option for platform in platforms for option in ("--platform", platform)]
    return (*chosen, "--implementation", "cp", "--python-version", python)


def interpreter(python: str) -> str | None:
    """Return an interpreter of a version such as "3.13" on this machine, None if there is none."""
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{python}")
    if found is None:
        return None
    # Of a version manager it is a shim, which may exist without that version.
    shown = subprocess.run(  # nosec B603
        [found, "-c", "import sys; print(sys.executable)"],
        env={**os.environ, "PYENV_VERSION": python},
        capture_output=True,
        text=True,
        check=False,
    )
    return None if shown.returncode else shown.stdout.strip()


def _compile(packages: Path, compiler: str) -> None:
    """Compile to bytecode that is never checked against its source: on Lambda, /opt is read-only.

    The seed fixes the order in which sets of constants are written.
    """
    options = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")
    where = ("-s", str(packages), "-p", "/opt/python", str(packages))
    subprocess.run(  # nosec B603
        [compiler, *options, *where], env={**os.environ, "PYTHONHASHSEED": "0"}, check=True
    )


def _describe(name: str, path: Path, compiled: bool) -> Layer:
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        unzipped = sum(member.file_size for member in archive.infolist())
        contents = contents_sha256(archive, RECIPE_VERSION)
    return Layer(name, path, contents, code_sha256(data), len(data), unzipped, compiled)
