"""Shared by the tests of packages: a repository, and what is in a zip."""

import io
import zipfile
from pathlib import Path

import pytest


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one function and one layer."""
    for name in ("", "common/", "extract/", "load/"):
        write(tmp_path / f"functions/{name}__init__.py")
    write(tmp_path / "functions/common/storage.py", "STORAGE = 1\n")
    write(tmp_path / "functions/extract/handler.py", "def handler(event, context): ...\n")
    write(tmp_path / "pipelines/__init__.py")
    write(tmp_path / "pipelines/shop/__init__.py")
    write(tmp_path / "pipelines/shop/pipeline.py", "from etl.tables import Table\n")
    write(tmp_path / "pipelines/shop/warehouse.sql", "CREATE TABLE dim_item ();\n")
    write(tmp_path / "pipelines/shop/.env", "PASSWORD=secret")
    write(tmp_path / "pipelines/shop/sample/__init__.py")
    write(tmp_path / "pipelines/other/pipeline.py")
    write(tmp_path / "etl/__init__.py")
    write(tmp_path / "etl/tables.py", "class Table: ...\n")
    write(tmp_path / "requirements/layer-arrow.txt", "pyarrow==26.0.1 --hash=sha256:00\n")
    return tmp_path


def names(data: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(data)).namelist()
