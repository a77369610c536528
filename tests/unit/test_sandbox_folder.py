"""Where a sandbox keeps its files unless a folder is given."""

from pathlib import Path

import pytest

import deploy
from local import command
from local.preflight import own_folder
from local.sandbox import Options


@pytest.mark.parametrize(
    ("given", "folder"), [([], ".local/totesys"), (["--dir", "elsewhere"], "elsewhere")]
)
def test_the_command_uses_the_folder_of_its_pipeline(
    given: list[str], folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`deploy.py local` keeps its files there, unless another folder is given."""
    chosen: list[Path] = []

    def run_local(options: Options, *_: object, once: bool) -> int:
        chosen.append(options.directory)
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "run_local", run_local)

    assert deploy.main(["local", "--once", *given]) == 0
    assert chosen == [Path(folder)]


def test_each_pipeline_has_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pipelines that are tried in one clone share nothing."""
    monkeypatch.chdir(tmp_path)
    warnings: list[str] = []

    folders = [own_folder(each, warnings.append) for each in ("shop", "clinic")]

    assert folders == [Path(".local/shop"), Path(".local/clinic")]
    assert warnings == []


def test_files_that_are_not_used_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
