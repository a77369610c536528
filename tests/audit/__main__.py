"""Deploy into the local AWS, have auditors examine it, and compare with docs/audit.md.

Exit status 1 if a finding is not explained there, or an explained one is gone.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deployer.aws.account import connect
from local.emulator import REGION, Emulator
from tests.audit.deployments import DEPLOYED, deploy, policies
from tests.audit.findings import PAGE, Finding, compare, explained

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHON = ROOT / ".build" / "audit" / "bin" / "python"
SERVICES = (
    "s3", "awslambda", "iam", "sns", "sqs", "cloudwatch", "secretsmanager", "eventbridge",
    "apigatewayv2",
)  # fmt: skip


def main() -> int:
    """Print what differs from the page; return the exit status."""
    with tempfile.TemporaryDirectory() as folder, Emulator(Path(folder) / "aws") as aws:
        account = connect(aws.environment)
        names = [deploy(account, given, Path(folder)) for given in DEPLOYED]
        documents = dict(each for of in names for each in policies(account, of))
        found = [
            *_parliament(documents),
            *_prowler({**aws.environment, "PATH": os.environ["PATH"], "HOME": folder}),
            *_zizmor(),
        ]
    problems = list(compare(found, explained(PAGE.read_text())))
    for problem in problems:
        print(problem)
    print(f"{len(documents)} policies, {len(set(found))} findings, {len(problems)} to look at")
    return 1 if problems else 0


def _parliament(documents: Mapping[str, Any]) -> Iterator[Finding]:
    found = _ask("parliament_checks.py", given=json.dumps(documents))
    yield from (Finding("parliament", check, where) for check, where in found)


def _prowler(environment: Mapping[str, str]) -> Iterator[Finding]:
    answer = _ask("prowler_checks.py", REGION, *SERVICES, environment=environment)
    print(f"prowler: {answer['checks']} checks")
    for name, error in answer["broken"]:
        yield Finding("prowler", name, f"(it cannot run: {error})")
    yield from (Finding("prowler", check, resource) for check, resource in answer["failures"])


def _zizmor() -> Iterator[Finding]:
    zizmor = Path(sys.prefix) / "bin" / "zizmor"
    options = ("--offline", "--persona", "auditor", "--format", "json")
    command: list[str | Path] = [zizmor, *options, ROOT / ".github" / "workflows"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for each in json.loads(done.stdout):
        place = each["locations"][0]["symbolic"]["key"]["Local"]
        yield Finding("zizmor", each["ident"], Path(place["given_path"]).name)


def _ask(program: str, *arguments: str, given: str = "", environment: Any = None) -> Any:
    done = subprocess.run(
        [PYTHON, "-W", "ignore", HERE / program, *arguments],
        input=given,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
