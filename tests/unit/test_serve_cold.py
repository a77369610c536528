"""How the function `serve` starts on Lambda: from its own zip, with nothing heavy."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deployer.packaging import packages
from deployer.resources import specs
from etl.loading import load

START = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from functions.serve import handler
event = {"requestContext": {"http": {"method": "GET"}}, "rawPath": "/payments/last5"}
class Context:
    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "serve"
answer = handler.handler(event, Context())
seconds = time.process_time()
import functions.targets.postgres.reader
heavy = sorted({name.partition(".")[0] for name in sys.modules} & {
    "moto", "numpy", "pandas", "pyarrow", "pymysql"})
print(json.dumps([answer["statusCode"], heavy, seconds]))
"""
ENVIRONMENT = {
    "PIPELINE": "totesys",
    "AWS_DEFAULT_REGION": "eu-west-2",
    "PROCESSED_BUCKET": "processed",
    "REPORTS_RATE": "300",
    "REPORTS_SECRET_ID": "tokens",
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is deployed, unpacked."""
    folder = tmp_path_factory.mktemp("serve")
    data = packages.build_function_zip("serve", "totesys", specs.parts("serve", load("totesys")))
    with zipfile.ZipFile(io.BytesIO(data.data)) as archive:
        archive.extractall(folder)
    return folder


def test_serve_imports_nothing_heavy(package: Path) -> None:
    """Its layers have neither pyarrow nor pandas, and somebody waits while it starts."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", START, str(package)],
        cwd=package,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    status, heavy, _ = json.loads(done.stdout.splitlines()[-1])
    assert (status, heavy) == (401, [])


def test_its_layers_are_the_light_ones() -> None:
    """Powertools and msgspec, and the driver of its database."""
    assert specs.layers_of("serve", "totesys", load("totesys")) == ("powertools", "postgres")
