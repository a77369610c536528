"""Packages: the size of what a function loads, and the time that building takes."""

import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from benchmarks.measuring import ROOT, Record, say, spread
from benchmarks.testbed import Testbed
from deployer.configuration.settings import Settings
from deployer.packaging.packages import Layer, build_function_zip, build_layer
from deployer.resources.specs import FUNCTIONS, layers_of, parts
from etl.loading import load

SIZE, BUILD = "size", "build"
SCRATCH, UNCHANGED = "everything, from scratch", "everything, nothing changed"
UNCHANGED_BUILDS = 5

Zips = dict[str, bytes]


def measure(testbed: Testbed) -> Iterator[Record]:
    """Yield sizes in bytes and seconds of building, for the runtime that is deployed by default.

    The folder is a new one, so that from scratch means that wheels are downloaded, or taken from
    pip's cache.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark packages ") as name:
        root = Path(name)
        shutil.copytree(ROOT / "requirements", root / "requirements")
        seconds = []
        for _ in range(1 + UNCHANGED_BUILDS):
            started = time.perf_counter()
            layers, zips = _build(root)
            seconds.append(time.perf_counter() - started)
            say(f"packages: built in {seconds[-1]:.2f} s")
    yield _took(SCRATCH, seconds[:1])
    yield _took(UNCHANGED, seconds[1:])
    yield from _sizes(layers, zips)


def _build(root: Path) -> tuple[dict[str, Layer], Zips]:
    """Build what a deployment uploads, with the layers in a folder that remembers them."""
    python, architecture = Settings.runtime.removeprefix("python"), Settings.architecture
    declared = load("totesys")
    names = {name for spec in FUNCTIONS for name in layers_of(spec.use, "totesys", declared)}
    layers = {name: build_layer(name, python, architecture, False, root) for name in sorted(names)}
    return layers, {
        spec.use: build_function_zip(spec.use, "totesys", parts(spec.use, declared)).data
        for spec in FUNCTIONS
    }


def _sizes(layers: dict[str, Layer], zips: Zips) -> Iterator[Record]:
    for name, layer in layers.items():
        yield _size(f"layer {name}", layer.size, layer.unzipped, layer.compiled)
    for spec in FUNCTIONS:
        used = [layers[name] for name in layers_of(spec.use, "totesys", load("totesys"))]
        zipped = zips[spec.use]
        with zipfile.ZipFile(BytesIO(zipped)) as archive:
            unzipped = sum(member.file_size for member in archive.infolist())
        compiled = all(layer.compiled for layer in used)
        yield _size(f"zip of {spec.use}", len(zipped), unzipped, False)
        yield _size(
            whole(spec.use),
            len(zipped) + sum(layer.size for layer in used),
            unzipped + sum(layer.unzipped for layer in used),
            compiled,
        )


def whole(use: str) -> str:
    """Return what a function with its layers is called."""
    return f"{use}, zip and layers"


def _size(what: str, zipped: int, unzipped: int, compiled: bool) -> Record:
    sizes = {"zipped": zipped, "unzipped": unzipped, "compiled": compiled}
    return {"case": SIZE, "rows": 0, "contender": what, **sizes}


def _took(what: str, seconds: list[float]) -> Record:
    return {"case": BUILD, "rows": 0, "contender": what, "seconds": spread(seconds)}
