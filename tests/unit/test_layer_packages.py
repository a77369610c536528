"""The layers that are deployed: reproducible, slim, and built only when something changed."""

import io
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from deployer.errors import InstallError
from deployer.packaging import installer, packages
from deployer.packaging.archive import contents_sha256
from deployer.packaging.slimming import slim
from tests.unit.package_repository import names, write

THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
NETWORK_DOWN = """WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by
'NewConnectionError(': Failed to establish a new connection')': /simple/pyarrow/
ERROR: Could not find a version that satisfies the requirement pyarrow==26.0.1 (from versions: none)
ERROR: No matching distribution found for pyarrow==26.0.1
"""
NO_WHEEL = "ERROR: No matching distribution found for pyarrow==26.0.1\n"
CHANGED = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n"


class FakePip:
    """Puts a small package where pip would install, and counts."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, requirements: Path, *options: str) -> None:
        self.calls.append(options)
        target = Path(options[options.index("--target") + 1])
        write(target / "pyarrow/__init__.py", "names = {'a', 'b', 'c', 'd'}\n")
        write(target / "pyarrow/tests/test_it.py")


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    fake = FakePip()
    monkeypatch.setattr(packages, "install", fake)
    return fake


def test_a_layer_holds_packages_and_their_bytecode(repository: Path, pip: FakePip) -> None:
    """Lambda finds the packages on its path and need not compile them at each cold start."""
    layer = packages.build_layer("arrow", THIS, "x86_64", host=True, root=repository)
    tag = sys.implementation.cache_tag
    assert (layer.compiled, names(layer.path.read_bytes())) == (
        True,
        ["python/pyarrow/__init__.py", f"python/pyarrow/__pycache__/__init__.{tag}.pyc"],
    )


def test_bytecode_is_not_checked_against_its_source(repository: Path, pip: FakePip) -> None:
    """Bytecode is used although Lambda unpacks the sources with other dates."""
    layer = packages.build_layer("arrow", THIS, "x86_64", host=True, root=repository)
    bytecode = zipfile.ZipFile(layer.path).read(names(layer.path.read_bytes())[1])
    assert struct.unpack_from("<I", bytecode, 4) == (0b01,)  # PEP 552: by hash, unchecked


def test_an_unchanged_layer_is_reused(repository: Path, pip: FakePip) -> None:
    """A second deployment does not wait for pip."""
    first = packages.build_layer("arrow", THIS, "x86_64", host=True, root=repository)
    second = packages.build_layer("arrow", THIS, "x86_64", host=True, root=repository)
    assert (first, len(pip.calls)) == (second, 1)


def test_a_layer_is_built_again_for_other_requirements(repository: Path, pip: FakePip) -> None:
    """A new lock, a new Python or another architecture leads to a new layer."""
    build = packages.build_layer
    paths = {build("arrow", "3.13", "arm64", host=False, root=repository).path}
    paths.add(build("arrow", "3.13", "x86_64", host=False, root=repository).path)
    paths.add(build("arrow", "3.12", "arm64", host=False, root=repository).path)
    write(repository / "requirements/layer-arrow.txt", "pyarrow==27.0.0 --hash=sha256:00\n")
    paths.add(build("arrow", "3.13", "arm64", host=False, root=repository).path)
    assert len(paths) == 4


def test_a_rebuilt_layer_is_the_same_to_the_byte(repository: Path, pip: FakePip) -> None:
    """A layer that is built from the same lock need not be uploaded again."""
    first = packages.build_layer("arrow", THIS, "x86_64", host=True, root=repository)
    first.path.unlink()
    assert packages.build_layer("arrow", THIS, "x86_64", host=True, root=repository) == first


def test_a_layer_is_identified_by_its_contents(repository: Path, pip: FakePip) -> None:
    """Not by how another zlib compresses them, nor by whether this machine has the interpreter."""
    layer = packages.build_layer("arrow", THIS, "x86_64", host=True, root=repository)
    elsewhere = packages.build_layer("arrow", "3.99", "x86_64", host=False, root=repository)
    stored = repository / "stored.zip"
    with zipfile.ZipFile(layer.path) as archive, zipfile.ZipFile(stored, "w") as other:
        for name in reversed(archive.namelist()):
            other.writestr(name, archive.read(name))
    with zipfile.ZipFile(stored) as archive:
        same = contents_sha256(archive, packages.RECIPE_VERSION)
        newer = contents_sha256(archive, packages.RECIPE_VERSION + 1)

    assert (layer.compiled, elsewhere.compiled) == (True, False)
    assert layer.contents == elsewhere.contents == same
    assert newer != same


@pytest.mark.parametrize(("name", "text"), [("a.py", "2"), ("b.py", "1")])
def test_any_other_member_makes_other_contents(name: str, text: str) -> None:
    """A changed or renamed file of a package leads to a new layer."""

    def contents(name: str, text: str) -> str:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr(name, text)
            return contents_sha256(archive, 1)

    assert contents("a.py", "1") == contents("a.py", "1") != contents(name, text)


def test_wheels_are_for_the_function_and_not_for_this_machine(
    repository: Path, pip: FakePip
) -> None:
    """A laptop of another kind deploys what runs on Lambda."""
    packages.build_layer("arrow", "3.13", "arm64", host=False, root=repository)
    assert pip.calls[0][3:] == (
        "--platform",
        "manylinux_2_28_aarch64",
        "--platform",
        "manylinux2014_aarch64",
        "--implementation",
        "cp",
        "--python-version",
        "3.13",
    )


def test_without_the_functions_python_there_is_no_bytecode(
    repository: Path, pip: FakePip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytecode of another version, which Python would pass over, is not deployed."""
    monkeypatch.setenv("PATH", "")
    layer = packages.build_layer("arrow", "3.99", "arm64", host=False, root=repository)
    assert (layer.compiled, names(layer.path.read_bytes())) == (
        False,
        ["python/pyarrow/__init__.py"],
    )


def test_a_failed_build_leaves_nothing_behind(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a broken connection the next deployment builds the layer from the start."""

    def broken(*_: object) -> None:
        raise InstallError("no network")

    monkeypatch.setattr(packages, "install", broken)
    with pytest.raises(InstallError, match="no network"):
        packages.build_layer("arrow", THIS, "x86_64", host=True, root=repository)
    assert list((repository / ".build/layers").iterdir()) == []


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            NETWORK_DOWN,
            (
                "Cannot install requirements/layer-arrow.txt: PyPI cannot be reached. "
                "Check the network or pip's settings, then run again."
            ),
        ),
        (
            NO_WHEEL,
            (
                "Cannot install requirements/layer-arrow.txt: pyarrow==26.0.1 has no wheel for "
                "--platform win32. Choose a version or a platform that has one, then run "
                "`make lock`."
            ),
        ),
        (
            CHANGED,
            (
                "Cannot install requirements/layer-arrow.txt: a download does not match its "
                "locked hash. If you trust it, run `make lock`."
            ),
        ),
        (
            "ERROR: [Errno 28] No space left on device\n",
            "Cannot install requirements/layer-arrow.txt: [Errno 28] No space left on device",
        ),
        ("", "Cannot install requirements/layer-arrow.txt: pip gave no reason."),
    ],
)
def test_a_failure_of_pip_is_one_line_with_the_next_step(
    said: str, message: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment says what to do, instead of printing pages of pip."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", said)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(InstallError) as error:
        installer.install(
            repository / "requirements/layer-arrow.txt", "--no-compile", "--platform", "win32"
        )
    assert str(error.value) == message


def test_a_layer_does_without_what_no_function_loads(tmp_path: Path) -> None:
    """A cold start waits for no tests, headers, sources, and no second copy of a library."""
    for name in (
        "bin/f2py",
        "pandas/__init__.py",
        "pandas/tests/test_frame.py",
        "pandas/_libs/algos.pyx",
        "pyarrow/include/arrow/api.h",
        "pyarrow/libarrow_flight.so.2600",
        "pyarrow/libarrow_python.so",
        "pyarrow/libarrow_python.so.2600",
        "pyarrow/libarrow_python.so.2600.1.0",
        "pyarrow-26.0.1.dist-info/METADATA",
        "pyarrow-26.0.1.dist-info/RECORD",
    ):
        write(tmp_path / name)
    slim(tmp_path)
    left = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert left == [
        "pandas/__init__.py",
        "pyarrow-26.0.1.dist-info/METADATA",
        "pyarrow/libarrow_python.so.2600",
    ]
