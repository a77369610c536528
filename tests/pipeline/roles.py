"""The functions of a deployment, each under its own role, and the calls that they make.

They run on a local AWS that enforces IAM. Then each grant of each role is taken away in turn: some
call needs it, and is refused without it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import boto3
import pytest

from deployer.aws.account import Account, connect
from deployer.configuration.settings import Settings
from deployer.resources.environments import function_environment
from deployer.resources.names import BucketUse, FunctionUse, Names
from deployer.resources.policies import function_policy
from deployer.resources.resource_policies import Policy
from deployer.resources.specs import (
    FUNCTIONS,
    NOTICE_WRITERS,
    OUTCOME_BUCKETS,
    functions,
)
from functions.collect import handler as collect_handler
from functions.common import notices
from functions.common.storage import Bucket
from functions.common.uploads import PART_BYTES, Upload
from functions.extract import handler as extract_handler
from functions.load import handler as load_handler
from functions.page import handler as page_handler
from functions.receive import handler as receive_handler
from functions.reconcile import handler as reconcile_handler
from functions.serve import handler as serve_handler
from functions.transform import handler as transform_handler
from local.stand_ins import OTHERS_ACCOUNT, put_stand_in
from tests.aws.sandbox import Sandbox, TinyPackages
from tests.pipeline.aws_calls import (
    Call,
    calls_of,
    of_lambda_itself,
    refusal,
)
from tests.pipeline.conftest import Context, forget_clients

USES: tuple[FunctionUse, ...] = get_args(FunctionUse)
HANDLERS = {
    "extract": extract_handler.handler,
    "transform": transform_handler.handler,
    "load": load_handler.handler,
    "reconcile": reconcile_handler.handler,
    "page": page_handler.handler,
    "receive": receive_handler.handler,
    "collect": collect_handler.handler,
    "serve": serve_handler.handler,
}
# Caches that receive and collect keep while they are warm.
CACHES: tuple[Any, ...] = (
    receive_handler._secrets,
    receive_handler._queue,
    receive_handler._sources,
    collect_handler._pipeline,
    collect_handler._log,
    serve_handler._service,
)


def _handler(use: FunctionUse) -> Callable[..., dict[str, Any]]:
    """Return the handler of a function; that of `lake` needs the packages of its tests."""
    if use != "lake":
        return HANDLERS[use]
    import_module("tests.lake")
    module = import_module("functions.lake.handler")
    module._lake.cache_clear()
    handler: Callable[..., dict[str, Any]] = module.handler
    return handler


VERSIONS = ("s3:ListBucketVersions", "s3:GetObjectVersion")


@dataclass(frozen=True)
class Grant:
    """The smallest piece of a policy: an action on a resource, under a prefix of its listing."""

    action: str
    resource: str
    prefix: str | None = None

    def covers(self, call: Call) -> bool:
        return (
            self.action == call.action
            and fnmatchcase(call.resource, self.resource)
            and (self.prefix is None or fnmatchcase(call.prefix or "", self.prefix))
        )


def grants_of(policy: Policy) -> list[Grant]:
    """Return the pieces of a policy; each stands in it once."""
    found = [
        Grant(action, resource, prefix)
        for statement in policy["Statement"]
        for action in _list(statement["Action"])
        for resource in _list(statement["Resource"])
        for prefix in _prefixes(statement)
    ]
    assert len(set(found)) == len(found)
    return found


def without(policy: Policy, grant: Grant) -> Policy:
    """Return a policy without one piece."""
    left = [piece for piece in grants_of(policy) if piece != grant]
    statements: list[dict[str, Any]] = []
    for piece in left:
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Action": piece.action,
            "Resource": piece.resource,
        }
        if piece.prefix is not None:
            statement["Condition"] = {"StringLike": {"s3:prefix": [piece.prefix]}}
        statements.append(statement)
    return {"Version": policy["Version"], "Statement": statements}


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _prefixes(statement: Mapping[str, Any]) -> list[str | None]:
    condition = statement.get("Condition")
    return list(condition["StringLike"]["s3:prefix"]) if condition else [None]


@dataclass
class Roles:
    """The functions of a deployment, each under its own role, and the calls that they make."""

    account: Account
    names: Names
    settings: Settings
    monkeypatch: pytest.MonkeyPatch
    endpoint: Mapping[str, str]
    calls: dict[FunctionUse, list[Call]] = field(default_factory=lambda: {use: [] for use in USES})

    def policy(self, use: FunctionUse) -> Policy:
        return function_policy(
            use,
            self.names,
            self.settings.declared,
            self.settings.buckets,
            apis=self.settings.urls,
            report_secrets=self.settings.reports.read_secrets,
            writes_notices=use in NOTICE_WRITERS[self.settings.notify],
        )

    def allow(self, use: FunctionUse, policy: Policy) -> None:
        self.account.clients.iam.put_role_policy(
            RoleName=f"trial-{use}", PolicyName="trial", PolicyDocument=json.dumps(policy)
        )

    def make(self, use: FunctionUse) -> None:
        """Make a role with a function's policy that this test may take."""
        trust = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{self.account.id}:root"},
            "Action": "sts:AssumeRole",
        }
        self.account.clients.iam.create_role(
            RoleName=f"trial-{use}",
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )
        self.allow(use, self.policy(use))

    def session(self, use: FunctionUse) -> boto3.Session:
        sts = boto3.Session().client("sts")
        lent = sts.assume_role(
            RoleArn=f"arn:aws:iam::{self.account.id}:role/trial-{use}", RoleSessionName="trial"
        )["Credentials"]
        return boto3.Session(
            aws_access_key_id=lent["AccessKeyId"],
            aws_secret_access_key=lent["SecretAccessKey"],
            aws_session_token=lent["SessionToken"],
            region_name=self.account.region,
        )

    def run(self, use: FunctionUse, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run a function under its role, and write down what it asks of AWS.

        What somebody may ask for by hand is run as the deployer runs it, which follows it; a check
        is answered at once.
        """
        is_followed = use in OUTCOME_BUCKETS and event != {"check": True}
        followed = {"follow": "a-run"} if is_followed else {}
        with self.acting(use):
            context: Any = Context(use)
            answer: dict[str, Any] = _handler(use)((event or {}) | followed, context)
        return answer

    @contextmanager
    def acting(self, use: FunctionUse) -> Iterator[None]:
        """Act under the role of a function, in its environment."""
        session = self.session(use)
        session.events.register(
            "provide-client-params.*.*",
            lambda params, model, **_: self.calls[use].extend(
                calls_of(self.account.id, model.service_model.service_name, model.name, params)
            ),
        )
        with self.monkeypatch.context() as patch:
            patch.setattr(boto3, "DEFAULT_SESSION", session)
            environment = function_environment(use, self.names, self.settings)
            for name, value in environment.items():
                patch.setenv(name, value)
            forget_clients()
            for cached in CACHES:
                cached.cache_clear()
            reconcile_handler._sides.cache_clear()
            notices._sns.cache_clear()
            yield


def deployed(
    settings: Settings,
    environment: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
) -> Roles:
    """Deploy into an account, and make a role for each function that a test may take."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    account = connect(environment)
    Sandbox(account, settings, TinyPackages(folder)).deploy()
    names = Names(settings.project, settings.stage, account.id, account.region)
    monkeypatch.setattr("functions.common.longlists.MOST_BYTES", 0)  # all have long lists
    made = Roles(account, names, settings, monkeypatch, environment)
    for use in (spec.use for spec in functions(settings)):
        made.make(use)
        made.calls[use] += of_lambda_itself(use, names)
    return made


def have_swept(roles: Roles) -> None:
    """Let transform have swept a day: of a log that begins today it would look for no other."""
    for source in roles.settings.declared.sources:
        for log in ("ingestion", "processed"):
            roles.account.clients.s3.put_object(
                Bucket=roles.names.bucket("processed"),
                Key=f"swept/{source.name}/{log}/2023-12-31.json",
                Body=b"{}",
            )


def put_theirs(
    roles: Roles, bucket: str, files: Mapping[str, bytes], denied: Sequence[str] = ()
) -> None:
    """Put files into somebody else's bucket, which allows our account all reading but some."""
    put_stand_in(roles.endpoint, roles.account.id, bucket, {})
    s3 = connect({**roles.endpoint, "AWS_ACCESS_KEY_ID": OTHERS_ACCOUNT}).clients.s3
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key, body in files.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    if denied:
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
        [allowed] = policy["Statement"]
        policy["Statement"].append({**allowed, "Effect": "Deny", "Action": list(denied)})
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def break_off(roles: Roles, use: FunctionUse, bucket: BucketUse, key: str) -> None:
    """Let a large object of a function break off while it is written."""
    with roles.acting(use), suppress(ConnectionError):
        place = Bucket(boto3.client("s3"), roles.names.bucket(bucket))
        with Upload(place, key) as upload:
            upload.write(bytes(PART_BYTES + 1))
            raise ConnectionError


def without_need(roles: Roles, *uses: FunctionUse) -> tuple[list[object], list[object]]:
    """Take each grant away in turn; return those that no call needs, and those not enforced."""
    never_needed: list[object] = []
    not_enforced: list[object] = []
    for use in uses or (spec.use for spec in FUNCTIONS):
        policy, session = roles.policy(use), roles.session(use)
        pieces = grants_of(policy)
        for grant in pieces:
            others = [piece for piece in pieces if piece != grant]
            needing = [
                call
                for call in roles.calls[use]
                if grant.covers(call) and not any(piece.covers(call) for piece in others)
            ]
            roles.allow(use, without(policy, grant))
            if not needing:
                never_needed.append((use, grant))
            elif not refusal(session, needing[0]):
                not_enforced.append((use, grant))
        roles.allow(use, policy)
    return never_needed, not_enforced
