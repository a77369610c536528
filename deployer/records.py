"""Records of deployments: what the functions were, for `deploy.py rollback`.

A record lies in the code bucket, under its own digest, beside an archive with the zips. Others may
write objects there, so the digest of the newest record is a tag of a function: nothing is believed
that does not lead back to it. The newest record and the one before it are kept. A deployment whose
functions do not work is not recorded, unless it is the first.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from deployer.aws import lambda_functions, s3_objects
from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.aws.lambda_functions import Function
from deployer.configuration.network import Network
from deployer.packaging.packages import Package
from deployer.resources.names import Names
from deployer.resources.resource_policies import Policy
from etl.product import LOG_FORM

TAG = "deployment"
FOLDER = "deployments/"
ENDING = "_SECRET_ID"  # how the variables end that name secrets
# They are given when a function is put back.
NOT_RECORDED = frozenset({"code", "role_id", "tags"})


@dataclass(frozen=True)
class Record:
    """One deployment: its functions by name, as it configured them, and their rights.

    A function has the fields of `Function`, the digest of its code as `sha256` and the policy of
    its role as `policy`, None if the role is not the deployment's own. `code` is the digest of the
    archive with the zips, `log_form` the form of the logs that the functions read, `before` the
    digest of the record before this one.
    `rolled_back` is when a rollback led back to this deployment, and from the one of which time,
    None if that had failed.
    """

    at: str
    functions: Mapping[str, Mapping[str, Any]]
    code: str
    before: str | None = None
    log_form: int = LOG_FORM
    rolled_back: tuple[str, str | None] | None = None

    @property
    def body(self) -> bytes:
        """The object, as it is written."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @property
    def digest(self) -> str:
        """The digest that it is found under."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def layers(self) -> set[str]:
        """The ARNs of the layer versions that the functions have."""
        return {arn for function in self.functions.values() for arn in function["layers"]}

    @property
    def secrets(self) -> set[str]:
        """The names of the secrets that the functions read, and the ARNs of those of others."""
        return {
            value
            for function in self.functions.values()
            for name, value in function["environment"].items()
            if name.endswith(ENDING)
        }

    def function(
        self, name: str, code: bytes, role_id: str | None, tags: Mapping[str, str]
    ) -> Function:
        """Return a function as it was deployed."""
        known = {each.name for each in fields(Function)} - NOT_RECORDED
        kept = {key: value for key, value in self.functions[name].items() if key in known}
        kept["layers"] = tuple(kept["layers"])
        if kept.get("network"):
            kept["network"] = Network(*map(tuple, kept["network"].values()))
        package = Package(code, self.functions[name]["sha256"])
        return Function(**kept, code=package, role_id=role_id, tags=tags)


def newest(account: Account, names: Names) -> Record | None:
    """Return the newest record; None if nothing is deployed, or nothing was ever recorded."""
    digest = lambda_functions.tags_of(account, names.function("extract")).get(TAG)
    return _read(account, names, digest) if digest else None


def before(account: Account, names: Names, record: Record) -> Record | None:
    """Return the record before another, None if there was none, or it is no longer kept."""
    return _read(account, names, record.before) if record.before else None


def code_of(account: Account, names: Names, record: Record) -> Mapping[str, bytes] | None:
    """Return the zips of a record by the names of their functions; None if they are gone."""
    body = s3_objects.get(account, names.bucket("code"), _archive(record.code), record.code)
    if body is None:
        return None
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@dataclass(frozen=True)
class Recording:
    """A deployment that is to be recorded.

    `kept` are its record and the one before it, `code` the archive with its zips, None if it is
    recorded already. `changes` has one if the deployment undoes a rollback.
    """

    kept: list[Record]
    code: bytes | None = None
    changes: Sequence[Change] = ()


def recording(
    account: Account,
    names: Names,
    functions: Iterable[Function],
    policies: Mapping[str, Policy | None],
) -> Recording:
    """Compare a deployment with the newest record, and write nothing."""
    deployed = {each.name: each for each in functions}
    described = {name: _described(each, policies[name]) for name, each in deployed.items()}
    last = newest(account, names)
    if last and last.functions == described:
        previous = before(account, names, last)
        return Recording([last, previous] if previous else [last])
    code = _archived(deployed.values())
    digest = hashlib.sha256(code).hexdigest()
    record = Record(now(), described, digest, last.digest if last else None)
    return Recording([record, last] if last else [record], code, _undone(names, last))


def write(
    account: Account, names: Names, kept: Sequence[Record], code: bytes | None = None
) -> None:
    """Write the first of these records and its code; remove the objects that none of them names."""
    bucket, record = names.bucket("code"), kept[0]
    if code is not None:
        s3_objects.put(account, bucket, _archive(record.code), code)
    s3_objects.put(account, bucket, _key(record.digest), record.body)
    account.clients.lambda_.tag_resource(
        Resource=names.function_arn("extract"), Tags={TAG: record.digest}
    )
    if record.before:
        named = {key for each in kept for key in (_key(each.digest), _archive(each.code))}
        s3_objects.keep_only(account, bucket, FOLDER, named)


def now() -> str:
    """Return the time by which a deployment is known."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _undone(names: Names, last: Record | None) -> list[Change]:
    """Return the change by which a deployment follows a rollback."""
    if not last or not last.rolled_back:
        return []
    at, led_from = last.rolled_back
    origin = f"that of {led_from}" if led_from else "one that had failed"
    was = f"of {last.at}, to which a rollback led from {origin} at {at}"
    return [Change("deployment", names.prefix, "updated", {"code": (was, "of this folder")})]


def _read(account: Account, names: Names, digest: str) -> Record | None:
    body = s3_objects.get(account, names.bucket("code"), _key(digest), digest)
    if body is None:
        return None
    document = json.loads(body)
    led = document.pop("rolled_back")
    return Record(**document, rolled_back=tuple(led) if led else None)


def _described(function: Function, policy: Policy | None) -> dict[str, Any]:
    """Return what a record has of a function, as JSON has it."""
    values = {each.name: getattr(function, each.name) for each in fields(function)}
    kept = {name: value for name, value in values.items() if name not in NOT_RECORDED}
    described = json.dumps(
        {**kept, "sha256": function.code.sha256, "policy": policy}, default=asdict
    )
    plain: dict[str, Any] = json.loads(described)
    return plain


def _archived(functions: Iterable[Function]) -> bytes:
    """Return an archive of the zips of functions; the same for the same."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for function in sorted(functions, key=lambda each: each.name):
            archive.writestr(zipfile.ZipInfo(function.name), function.code.data)
    return target.getvalue()


def _key(digest: str) -> str:
    return f"{FOLDER}{digest}.json"


def _archive(digest: str) -> str:
    return f"{FOLDER}{digest}.zip"
