"""Find a pipeline by the name of its folder."""

from functools import cache
from importlib import import_module
from pathlib import Path

from etl.errors import DeclarationError
from etl.pipeline import Pipeline


@cache
def load(name: str) -> Pipeline:
    """Return the pipeline that `pipelines/<name>/pipeline.py` declares as PIPELINE.

    Raises DeclarationError if there is none, or a mistake in it.
    """
    if name not in (there := known()):
        raise DeclarationError(
            f"there is no pipelines/{name}/pipeline.py: PIPELINE may be {', '.join(there)}"
        )
    declared = getattr(import_module(f"pipelines.{name}.pipeline"), "PIPELINE", None)
    if not isinstance(declared, Pipeline):
        raise DeclarationError(f"pipelines/{name}/pipeline.py: it has no PIPELINE = Pipeline(…)")
    return declared


def folder(name: str) -> Path:
    """Return the folder of a pipeline, with the files that its declaration names."""
    return known()[name]


def known() -> dict[str, Path]:
    """Return the folders of the pipelines that there are, by name."""
    return {
        page.parent.name: page.parent
        for place in import_module("pipelines").__path__
        for page in sorted(Path(place).glob("*/pipeline.py"))
    }
