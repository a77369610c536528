"""Find a pipeline by the name of its folder."""

from functools import cache
from importlib import import_module
from pathlib import Path

from etl.errors import DeclarationError
from etl.pipeline import Pipeline

FOLDER = Path(__file__).parent.parent / "pipelines"


@cache
def load(name: str) -> Pipeline:
    """Return the pipeline that `pipelines/<name>/pipeline.py` declares as PIPELINE.

    Raises DeclarationError if there is none, or a mistake in it.
    """
    if not (FOLDER / name / "pipeline.py").is_file():
        there = sorted(path.parent.name for path in FOLDER.glob("*/pipeline.py"))
        raise DeclarationError(
            f"there is no pipelines/{name}/pipeline.py: PIPELINE may be {', '.join(there)}"
        )
    declared = getattr(import_module(f"pipelines.{name}.pipeline"), "PIPELINE", None)
    if not isinstance(declared, Pipeline):
        raise DeclarationError(f"pipelines/{name}/pipeline.py: it has no PIPELINE = Pipeline(…)")
    return declared


def folder(name: str) -> Path:
    """Return the folder of a pipeline, with the files that its declaration names."""
    return FOLDER / name
