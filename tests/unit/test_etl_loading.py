"""Which pipelines there are, and what is said of one that cannot be read."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

import pipelines
from etl import DeclarationError
from etl.loading import folder, known, load

NUMBERS = count(1)
TABLE = "Table('team', key={key!r}, columns={{'team_id': Integer()}})"


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return a function that writes a declaration and returns the name of its pipeline."""
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(tmp_path)])

    def write(text: str) -> str:
        name = f"written_{next(NUMBERS)}"  # a module is imported only once
        (tmp_path / name).mkdir()
        (tmp_path / name / "pipeline.py").write_text(text)
        return name

    return write


def test_a_pipeline_is_found_by_its_folder(declare: Callable[[str], str], tmp_path: Path) -> None:
    """A folder with a declaration is a pipeline; nothing has to be registered."""
    name = declare("from etl import Pipeline\nPIPELINE = Pipeline(sources=[], targets=[])\n")

    assert load(name).sources == ()
    assert folder(name) == known()[name] == tmp_path / name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": it has no PIPELINE = Pipeline(…)"),
        ("PIPELINE = 1\n", ": it has no PIPELINE = Pipeline(…)"),
        ("\nx = (\n", ", line 2: SyntaxError: '(' was never closed"),
        ("\n\ntabel()\n", ", line 3: NameError: name 'tabel' is not defined"),
        ("import pands\n", ", line 1: ModuleNotFoundError: No module named 'pands'"),
        ("1 / 0\n", ", line 1: ZeroDivisionError: division by zero"),
        (
            f"from etl import *\n\n{TABLE.format(key='id')}\n",
            ", line 3: table team: its key names a column id, and none is declared under that name",
        ),
    ],
    ids=["empty", "no pipeline", "syntax", "name", "import", "other", "declaration"],
)
def test_a_mistake_is_said_with_its_line(
    declare: Callable[[str], str], text: str, said: str
) -> None:
    """Any mistake in a declaration is reported in one line: the file, where in it, and what."""
    name = declare(text)

    with pytest.raises(DeclarationError) as caught:
        load(name)
    assert str(caught.value) == f"pipelines/{name}/pipeline.py{said}"
