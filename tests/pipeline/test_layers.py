"""The dependency layers are complete for what the functions use, and small enough for Lambda."""

import platform
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from deployer.packaging.packages import ROOT, Layer, build_layer

THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
MACHINE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
# Of all layers of a function together, with its code:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
UNZIPPED_LIMIT = 250 * 1024 * 1024
# A machine without that Python builds layers without bytecode, which takes up to 25 MB.
ROOM_FOR_BYTECODE = 25_000_000

EXTRACT_AND_LOAD = """
import decimal, io
import pg8000.native
import pyarrow as pa, pyarrow.csv as pc, pyarrow.parquet as pq
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.data_classes import S3Event

money = pa.array([decimal.Decimal("1.20"), None], pa.decimal128(10, 2))
table = pa.table({"id": pa.array([1, 2], pa.int32()), "money": money, "text": ["", "a"]})
parquet, csv = io.BytesIO(), io.BytesIO()
pq.write_table(table, parquet, compression="zstd")
assert pq.read_table(io.BytesIO(parquet.getvalue())) == table
pc.write_csv(table, csv)
options = pc.ConvertOptions(
    column_types=table.schema, strings_can_be_null=True, quoted_strings_can_be_null=False,
    null_values=[""],
)
assert pc.open_csv(io.BytesIO(csv.getvalue()), convert_options=options).read_all() == table
Logger(service="layers").info("imported")
Metrics(namespace="layers", service="layers").add_metric("Rows", "Count", 1)
"""
TRANSFORM = """
import iso4217
import pandas as pd
import pyarrow as pa

staff = pd.DataFrame({"staff_id": [1, 2], "department_id": [1, 9]})
since = pd.to_datetime(["2024"])
departments = pd.DataFrame({"department_id": [1], "name": ["Sales"], "since": since})
joined = pa.Table.from_pandas(staff.merge(departments, how="left"), preserve_index=False)
assert joined.column("name").to_pylist() == ["Sales", None]
assert joined.to_pandas(types_mapper=pd.ArrowDtype)["staff_id"].tolist() == [1, 2]
assert iso4217.Currency("GBP").currency_name == "Pound Sterling"
"""
KEEP_TABLES = f"""
sys.path += [{str(ROOT)!r}, {sysconfig.get_path("purelib")!r}]  # boto3 comes with the runtime
import functions.lake.handler
import pyarrow, pyiceberg
assert all(module.__file__.startswith(tuple(sys.path[:2])) for module in (pyarrow, pyiceberg))
"""


def unpack(layer: Layer, folder: Path) -> str:
    """Unpack a layer as Lambda does, and return what it puts on the path."""
    with zipfile.ZipFile(layer.path) as archive:
        archive.extractall(folder / layer.name)
    return str(folder / layer.name / "python")


@pytest.mark.parametrize(
    ("layers", "program"),
    [
        (("arrow", "postgres"), EXTRACT_AND_LOAD),
        (("arrow", "pandas"), TRANSFORM),
        (("arrow", "lake"), KEEP_TABLES),
    ],
    ids=["extract and load", "transform", "lake"],
)
def test_the_functions_find_all_they_import(
    layers: tuple[str, ...], program: str, tmp_path: Path
) -> None:
    """The slimmed layers do the work of the functions with no other package on the path."""
    built = [build_layer(name, THIS, MACHINE, host=True) for name in layers]
    paths = [unpack(layer, tmp_path) for layer in built]
    start = f"import sys; sys.path[:0] = {paths!r}\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", start + program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_layers_fit_into_lambda() -> None:
    """By default, Python 3.13 on arm64, the function with most layers is within Lambda's limit."""
    for names in (("arrow", "pandas", "postgres", "mysql"), ("arrow", "lake")):
        built = [build_layer(name, "3.13", "arm64", host=False) for name in names]
        assert sum(layer.unzipped for layer in built) < UNZIPPED_LIMIT - ROOM_FOR_BYTECODE


@pytest.mark.parametrize("name", ["arrow", "postgres", "pandas", "lake"])
def test_a_layer_is_for_the_platform_that_was_asked_for(name: str) -> None:
    """No library of this machine slips into a layer for another."""
    layer = build_layer(name, "3.13", "arm64", host=False)
    with zipfile.ZipFile(layer.path) as archive:
        members = archive.namelist()
        machines = {archive.read(m)[18:20] for m in members if ".so" in Path(m).suffixes}
    assert machines <= {b"\xb7\x00"}  # EM_AARCH64
    assert not [m for m in members if "cpython-" in m and "cpython-313" not in m]
