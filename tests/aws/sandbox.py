"""The deployment that the tests of the deployer make, and their view of it."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from botocore.model import OperationModel
from coverage import Coverage

from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.configuration.settings import Settings
from deployer.deployer import Deployer
from deployer.packaging.packages import Layer, Package
from deployer.steps import Event
from tests.aws.kept import KeptAccounts, is_new

READS = ("Describe", "Filter", "Get", "Head", "List")
HANDLER = "def handler(event, context):\n    return None\n"


class TinyPackages:
    """Zips of a few bytes, whose content a test may change.

    `zlib` differs where another machine compresses to other bytes, and `compiles` is whether this
    one has the interpreter for the layers' bytecode.
    """

    def __init__(self, directory: Path, zlib: str = "", compiles: bool = False) -> None:
        self._directory = directory
        self.zlib = zlib
        self.compiles = compiles
        self.code: dict[str, str] = {}
        self.locks: dict[str, str] = {}

    @property
    def state(self) -> tuple[object, ...]:
        """All that decides about the zips."""
        return self.zlib, self.compiles, {**self.code}, {**self.locks}

    def build_function_zip(self, name: str, pipeline: str, parts: Sequence[str]) -> Package:
        data = _zip(f"functions/{name}/handler.py", self.code.get(name, HANDLER))
        return Package(data, _sha256(data))

    def contents(self, name: str, python: str, architecture: str) -> str:
        return self.locks.get(name, f"{python} {architecture}")

    def build_layer(
        self,
        name: str,
        python: str,
        architecture: str,
        host: bool,
        *,
        requirements: Path | None = None,
    ) -> Layer:
        data = _zip(f"python/{name}.py", self.contents(name, python, architecture), self.zlib)
        self._directory.mkdir(exist_ok=True)
        path = self._directory / f"{name}.zip"
        path.write_bytes(data)
        size, contents = len(data), _sha256(self.contents(name, python, architecture).encode())
        return Layer(name, path, contents, _sha256(data), size, size, self.compiles)


_DEPLOYED: list[tuple[object, KeptAccounts]] = []


@dataclass
class Sandbox:
    """An account, what is deployed into it, and every write call that was made."""

    account: Account
    settings: Settings
    packages: TinyPackages
    writes: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def deploy(self) -> list[Change]:
        """Deploy, and record it as the check of functions does, which moto cannot run."""
        deployer = self.deployer()
        changes = deployer.deploy()
        deployer.record()
        return changes

    def start_deployed(self) -> None:
        """Begin with what `deploy` makes in this empty account, which moto keeps.

        It is deployed once in a process, and copied for the tests after that; but not while
        somebody measures which lines a test executes.
        """
        assert is_new(), "the account is in use: deploy"
        about = (self.settings, self.packages.state, self.account.region)
        kept = next((kept for known, kept in _DEPLOYED if known == about), None)
        if kept and not Coverage.current():
            kept.restore()
            return
        self.deploy()
        _DEPLOYED.append((about, KeptAccounts()))
        self.writes.clear()
        self.events.clear()

    def plan(self) -> list[Change]:
        return self.deployer(planning=True).deploy()

    def count_writes(self) -> None:
        """Take note of every call that is not one of the reads."""

        def count(model: OperationModel, **_: object) -> None:
            if not model.name.startswith(READS):
                self.writes.append(model.name)

        for client in vars(self.account.clients).values():
            client.meta.events.register("before-call.*.*", count)

    def deployer(self, planning: bool = False) -> Deployer:
        account = replace(self.account, planning=planning)
        return Deployer(account, self.settings, self.packages, self.events.append)


def pending(changes: list[Change]) -> list[tuple[str, str, list[str]]]:
    """Return what is not as it should be: kind, action, attributes."""
    return [
        (change.kind, change.action, sorted(change.differences))
        for change in changes
        if change.action != "left"
    ]


def everything_in(account: Account) -> list[str]:
    """List what is in an account, by the listing of each service."""
    clients = account.clients
    layers = clients.lambda_.list_layers()["Layers"]
    return [
        *(rule["Name"] for rule in clients.events.list_rules()["Rules"]),
        *(function["FunctionName"] for function in clients.lambda_.list_functions()["Functions"]),
        *(layer["LayerName"] for layer in layers),
        *(role["RoleName"] for role in clients.iam.list_roles()["Roles"]),
        *(alarm["AlarmName"] for alarm in clients.cloudwatch.describe_alarms()["MetricAlarms"]),
        *(
            entry["DashboardName"]
            for entry in clients.cloudwatch.list_dashboards()["DashboardEntries"]
        ),
        *(topic["TopicArn"] for topic in clients.sns.list_topics()["Topics"]),
        *(entry["SubscriptionArn"] for entry in clients.sns.list_subscriptions()["Subscriptions"]),
        *clients.sqs.list_queues().get("QueueUrls", []),
        *(secret["Name"] for secret in clients.secrets.list_secrets()["SecretList"]),
        *(bucket["Name"] for bucket in clients.s3.list_buckets()["Buckets"]),
        *(group["logGroupName"] for group in clients.logs.describe_log_groups()["logGroups"]),
    ]


def _zip(name: str, text: str, comment: str = "") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.comment = comment.encode()
        archive.writestr(zipfile.ZipInfo(name), text)
    return data.getvalue()


def _sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
