"""Where a sandbox keeps its files unless a folder is given."""

from pathlib import Path

import pytest

from local.preflight import own_folder


def test_each_pipeline_has_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pipelines that are tried in one clone share nothing."""
    monkeypatch.chdir(tmp_path)
    warnings: list[str] = []

    folders = [own_folder(each, warnings.append) for each in ("shop", "clinic")]

    assert folders == [Path(".local/shop"), Path(".local/clinic")]
    assert warnings == []


def test_a_sandbox_of_before_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files directly in `.local`, which all pipelines once shared, are not used; a line says so."""
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "lock").touch()
    monkeypatch.chdir(tmp_path)
    warnings: list[str] = []

    own_folder("shop", warnings.append)

    [warning] = warnings
    assert warning == (
        ".local has a sandbox from before each pipeline had its own folder, which is not used: "
        "use it with --dir .local, or remove .local"
    )
