"""The zips of functions: reproducible, and with all that a function imports of ours."""

import base64
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deployer.packaging import packages
from tests.unit.package_repository import names, write


def test_a_function_zip_holds_its_own_and_the_common_code(repository: Path) -> None:
    """A function is deployed with what it imports and one pipeline, and nothing of the others."""
    assert names(packages.build_function_zip("extract", "shop", root=repository).data) == [
        "etl/__init__.py",
        "etl/tables.py",
        "functions/__init__.py",
        "functions/common/__init__.py",
        "functions/common/storage.py",
        "functions/extract/__init__.py",
        "functions/extract/handler.py",
        "pipelines/__init__.py",
        "pipelines/shop/__init__.py",
        "pipelines/shop/pipeline.py",
        "pipelines/shop/warehouse.sql",
    ]


def test_what_is_borrowed_from_another_function_comes_along(repository: Path) -> None:
    """A module of another function is packed with what it needs itself, and nothing else of it."""
    write(repository / "functions/load/__init__.py", "")
    write(repository / "functions/load/handler.py", "")
    write(repository / "functions/load/stage.py", "def fill():\n    import functions.load.star\n")
    write(repository / "functions/load/star.py", "")
    write(repository / "functions/extract/handler.py", "from functions.load.stage import fill\n")

    assert [
        name
        for name in names(packages.build_function_zip("extract", "shop", root=repository).data)
        if "load" in name
    ] == ["functions/load/__init__.py", "functions/load/stage.py", "functions/load/star.py"]


def test_a_function_zip_depends_on_nothing_but_the_sources(repository: Path) -> None:
    """An unchanged function is recognised: dates, modes, bytecode and hidden files do not count."""
    before = packages.build_function_zip("extract", "shop", root=repository)
    handler = repository / "functions/extract/handler.py"
    os.utime(handler, (0, 0))
    handler.chmod(0o600)
    write(repository / "functions/extract/__pycache__/handler.cpython-311.pyc", "bytecode")
    write(repository / "functions/extract/.env", "PASSWORD=secret")
    assert packages.build_function_zip("extract", "shop", root=repository) == before


def test_a_changed_source_changes_the_hash(repository: Path) -> None:
    """Changed code is noticed, and deployed."""
    before = packages.build_function_zip("extract", "shop", root=repository)
    write(repository / "functions/common/storage.py", "STORAGE = 2\n")
    assert packages.build_function_zip("extract", "shop", root=repository).sha256 != before.sha256


def test_the_hash_is_the_one_that_lambda_shows(repository: Path) -> None:
    """The digest can be compared with the `CodeSha256` of a deployed function."""
    package = packages.build_function_zip("extract", "shop", root=repository)
    expected = base64.b64encode(hashlib.sha256(package.data).digest()).decode()
    assert package.sha256 == expected


def test_lambda_may_read_every_member(repository: Path) -> None:
    """Files that only their owner may read here are still readable on Lambda."""
    (repository / "functions/extract/handler.py").chmod(0o600)
    data = packages.build_function_zip("extract", "shop", root=repository).data
    members = zipfile.ZipFile(io.BytesIO(data)).infolist()
    assert {oct(member.external_attr >> 16) for member in members} == {"0o100644"}


def test_an_unknown_function_is_an_error(repository: Path) -> None:
    """No empty package is ever deployed."""
    with pytest.raises(NotADirectoryError):
        packages.build_function_zip("extarct", "shop", root=repository)


@pytest.mark.parametrize("function", ["extract", "transform", "load", "reconcile"])
def test_a_function_zip_holds_all_modules_of_ours_that_it_imports(
    function: str, tmp_path: Path
) -> None:
    """A module that is borrowed from another function is not forgotten."""
    with zipfile.ZipFile(
        io.BytesIO(packages.build_function_zip(function, "totesys").data)
    ) as archive:
        archive.extractall(tmp_path)
    path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"

    done = subprocess.run(
        [sys.executable, "-I", "-c", f"{path}; import functions.{function}.handler"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
