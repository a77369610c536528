"""Find a pipeline by the name of its folder."""

from functools import cache
from importlib import import_module
from pathlib import Path
from traceback import extract_tb

from etl.errors import DeclarationError
from etl.figures import Figure
from etl.models import Model, View
from etl.pipeline import Pipeline
from etl.reports import Report


@cache
def load(name: str) -> Pipeline:
    """Return the pipeline that `pipelines/<name>/pipeline.py` declares as PIPELINE.

    Raises DeclarationError if there is none, or it has a mistake.
    """
    if name not in (there := known()):
        raise DeclarationError(
            f"there is no pipelines/{name}/pipeline.py: PIPELINE may be {', '.join(there)}"
        )
    try:
        module = import_module(f"pipelines.{name}.pipeline")
    except Exception as error:  # a pipeline's own code may raise anything
        said = str(error) if isinstance(error, DeclarationError) else _exception(error)
        raise DeclarationError(f"{_place(error, there[name])}: {said}") from error
    declared = getattr(module, "PIPELINE", None)
    if not isinstance(declared, Pipeline):
        raise DeclarationError(f"pipelines/{name}/pipeline.py: it has no PIPELINE = Pipeline(…)")
    parts: list[Model | View | Figure | Report] = [*declared.figures, *declared.reports]
    for target in declared.targets:
        parts += [*target.models, *target.views]
    for part in parts:
        _require_statement(declared, part, there[name])
    return declared


def _require_statement(
    declared: Pipeline, part: Model | View | Figure | Report, folder: Path
) -> None:
    try:
        match part:
            case Model() | Report():
                part.statement(folder, [setting.name for setting in declared.settings])
            case View():
                part.query(folder)
            case Figure():
                part.statement(folder)
    except DeclarationError as error:
        raise DeclarationError(f"pipelines/{folder.name}: {error}") from None


def _place(error: Exception, folder: Path) -> str:
    """Return the line of the pipeline's own files that raised an error."""
    path, line = folder / "pipeline.py", 0
    for frame in extract_tb(error.__traceback__):
        if Path(frame.filename).is_relative_to(folder):
            path, line = Path(frame.filename), frame.lineno or 0
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        path, line = Path(error.filename), error.lineno
    where = f"pipelines/{folder.name}/{path.name}"
    return f"{where}, line {line}" if line else where


def _exception(error: Exception) -> str:
    what = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {what}"


def folder(name: str) -> Path:
    """Return the folder of a pipeline, with the files that its declaration names."""
    return known()[name]


def known() -> dict[str, Path]:
    """Return the folders of all pipelines, by name."""
    return {
        page.parent.name: page.parent
        for place in import_module("pipelines").__path__
        for page in sorted(Path(place).glob("*/pipeline.py"))
    }
