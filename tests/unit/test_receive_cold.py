"""How the function `receive` starts on Lambda: from its own zip, with nothing heavy."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deployer.packaging import packages

START = """
import json, os, sys, time
sys.path.insert(0, sys.argv[1])
from functions.receive import handler
handler._secrets(), handler._queue()
event = {"requestContext": {"http": {"method": "GET"}}, "rawPath": "/"}
class Context:
    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "receive"
answer = handler.handler(event, Context())
seconds = time.process_time()
heavy = sorted({name.partition(".")[0] for name in sys.modules} & {
    "moto", "msgspec", "numpy", "pandas", "pg8000", "pyarrow"})
print(json.dumps([answer["statusCode"], heavy, seconds]))
"""

CLIENTS = """
import time
import boto3
boto3.client("secretsmanager"), boto3.client("sqs")
print(time.process_time())
"""


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, list[str], float]]:
    """Three cold starts: the status of the first answer, heavy modules, seconds of CPU."""
    package: Path = tmp_path_factory.mktemp("receive")
    data = packages.build_function_zip("receive", "totesys").data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(package)
    environment = {"PIPELINE": "totesys", "AWS_DEFAULT_REGION": "eu-west-2"}
    return [
        tuple(
            json.loads(
                subprocess.run(
                    [sys.executable, "-I", "-c", START, str(package)],
                    cwd=package,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout.splitlines()[-1]
            )
        )
        for _ in range(3)
    ]


def test_receive_imports_nothing_heavy(starts: list[tuple[int, list[str], float]]) -> None:
    """Its layer has Powertools alone, and a provider waits while it starts."""
    assert [(status, heavy) for status, heavy, _ in starts] == [(404, [])] * 3


def test_a_cold_start_takes_little_more_than_its_clients_of_aws(
    starts: list[tuple[int, list[str], float]],
) -> None:
    """Of CPU, from the start of Python to the first answer, on whatever machine this is."""
    command = [sys.executable, "-I", "-c", CLIENTS]
    environment = {"AWS_DEFAULT_REGION": "eu-west-2"}
    clients = [
        float(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
        for _ in range(3)
    ]

    assert min(seconds for _, _, seconds in starts) < 3 * min(clients)
