"""Functions: their code, their configuration, and where events go that they fail to process.

An update starts only when the previous one has ended, and is done when Lambda says so.
"""

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from deployer.aws.account import Account
from deployer.aws.changes import Change, Resource, Update, converge, error_code, found, remove
from deployer.configuration.network import Network
from deployer.errors import AwsError
from deployer.packaging.packages import Package

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import FunctionConfigurationTypeDef

SETTLE_SECONDS = 600  # the first network interface in a subnet takes minutes
ABSENT = "ResourceNotFoundException"
KEPT_UNRESERVED = 100
ROLE_TAG = "role-id"
# What creating a function sets, beside its code and configuration.
ONCE = frozenset({"VpcConfig", "LastUpdateStatus", "RoleId", "tags"})


@dataclass(frozen=True)
class Function:
    """A function as wanted; memory in MB, timeout and event age in seconds, layers by version ARN.

    `concurrency` is the reserved concurrency, which is also its limit; None leaves it unchanged.
    Events that still fail after all retries go to `failed_events_arn`; None drops them.

    A role that is deleted and created again has another `role_id`, and Lambda cannot decrypt the
    environment with it until the function is given another role, `other_role_arn`, and then its own
    again. https://repost.aws/knowledge-center/lambda-kmsaccessdeniedexception-errors
    `role_id` is None while the role is only planned; without another role there is no such check.
    """

    name: str
    description: str
    handler: str
    runtime: str
    architecture: str
    memory: int
    timeout: int
    role_arn: str
    layers: tuple[str, ...]
    network: Network | None
    kms_key: str | None
    environment: Mapping[str, str]
    code: Package
    concurrency: int | None
    retries: int
    event_age: int
    failed_events_arn: str | None
    tags: Mapping[str, str]
    role_id: str | None = None
    other_role_arn: str | None = None

    @property
    def configuration(self) -> dict[str, Any]:
        """The parameters that create and update share."""
        return {
            "Description": self.description,
            "Handler": self.handler,
            "Runtime": self.runtime,
            "MemorySize": self.memory,
            "Timeout": self.timeout,
            "Role": self.role_arn,
            "Layers": list(self.layers),
            "Environment": {"Variables": dict(self.environment)},
            **({"KMSKeyArn": self.kms_key} if self.kms_key else {}),
        }

    @property
    def connection(self) -> dict[str, Any]:
        """The parameters of its network; empty lists disconnect a function."""
        network = self.network or Network((), ())
        return {"SubnetIds": [*network.subnets], "SecurityGroupIds": [*network.groups]}

    @property
    def failures(self) -> dict[str, Any]:
        """The parameters for events that the function fails to process."""
        queue = self.failed_events_arn
        return {
            "MaximumRetryAttempts": self.retries,
            "MaximumEventAgeInSeconds": self.event_age,
            "DestinationConfig": {"OnFailure": {"Destination": queue}} if queue else {},
        }


def ensure_function(account: Account, arn: str, function: Function) -> Change:
    """Create or update a function and wait until it is ready; tags of others are kept.

    Raises:
        AwsError: it does not become ready; the message has AWS's reason.
    """
    actual = _read(account, function.name)
    # It never became a function, and can be neither invoked nor updated.
    failed = actual is not None and actual["State"] == "Failed"
    configured = frozenset(function.configuration)
    coded = frozenset({"code", "Architecture"})
    return converge(
        account,
        Resource(
            kind="function",
            name=function.name,
            wanted={
                **_attributes(function),
                "concurrency": function.concurrency or (actual or {}).get("concurrency"),
                "tags": {**(actual or {}).get("tags", {}), **function.tags},
            },
            actual=None if failed else actual,
            create=lambda: _create(account, function, instead=failed),
            created_with=configured | coded | ONCE,
            # Code last: new code may need the new configuration.
            updates=[
                Update(frozenset({"RoleId"}), lambda: _set_role_again(account, arn, function)),
                Update(
                    configured | {"LastUpdateStatus"},
                    lambda: _update_configuration(account, function, **function.configuration),
                ),
                # By itself: naming a network asks for rights that others need not have.
                Update(
                    frozenset({"VpcConfig", *(["LastUpdateStatus"] if function.network else [])}),
                    lambda: _update_configuration(account, function, VpcConfig=function.connection),
                ),
                Update(coded, lambda: _update_code(account, function)),
                Update(
                    frozenset(function.failures),
                    lambda: account.clients.lambda_.put_function_event_invoke_config(
                        FunctionName=function.name, **function.failures
                    ),
                ),
                Update(
                    frozenset({"concurrency"}),
                    lambda: account.clients.lambda_.put_function_concurrency(
                        FunctionName=function.name,
                        ReservedConcurrentExecutions=function.concurrency or 0,
                    ),
                ),
                Update(
                    frozenset({"tags"}),
                    lambda: account.clients.lambda_.tag_resource(Resource=arn, Tags=function.tags),
                ),
            ],
        ),
    )


def runtime_of(account: Account, runtime: str, architecture: str) -> tuple[str, str]:
    """Return runtime and architecture: those asked for, or this machine's for an emulator on it."""
    if not account.is_local:
        return runtime, architecture
    machine = "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"
    return f"python{sys.version_info.major}.{sys.version_info.minor}", machine


def can_reserve(account: Account, runs: int) -> bool:
    """Return whether this many concurrent runs can be reserved in this account.

    AWS keeps 100 for functions that reserve none, and a new account may have as few as 10 in all.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
    """
    if account.is_local:
        return False  # an emulator does not know the limits of an account
    try:
        limits = account.clients.lambda_.get_account_settings()["AccountLimit"]
    except ClientError as error:
        if error_code(error) in ("AccessDenied", "AccessDeniedException"):
            return False
        raise
    return limits.get("UnreservedConcurrentExecutions", 0) - runs >= KEPT_UNRESERVED


def layers_of(account: Account, names: Sequence[str]) -> set[str]:
    """Return the ARNs of the layer versions that functions have; there may be no such functions."""
    read = account.clients.lambda_.get_function_configuration
    existing = [found(partial(read, FunctionName=name), ABSENT) for name in names]
    return {layer["Arn"] for each in existing if each for layer in each.get("Layers", [])}


def tags_of(account: Account, name: str) -> Mapping[str, str]:
    """Return the tags of a function; none if there is no function.

    Raises:
        AwsError: AWS does not let the caller read them.
    """
    answer = found(lambda: account.clients.lambda_.get_function(FunctionName=name), ABSENT)
    return _read_tags(name, answer) if answer else {}


def in_network(account: Account, name: str) -> bool:
    """Return whether a function is in a network; there may be no such function."""
    read = account.clients.lambda_.get_function_configuration
    answer = found(lambda: read(FunctionName=name), ABSENT)
    return bool(answer and answer.get("VpcConfig", {}).get("SubnetIds"))


def environment_of(account: Account, name: str) -> Mapping[str, str]:
    """Return the environment variables of a function; none if there is no function."""
    read = account.clients.lambda_.get_function_configuration
    answer = found(lambda: read(FunctionName=name), ABSENT)
    return answer.get("Environment", {}).get("Variables", {}) if answer else {}


def remove_function(account: Account, name: str) -> bool:
    """Remove a function with its permissions; return whether it existed."""
    client = account.clients.lambda_
    return remove(
        account,
        lambda: client.get_function(FunctionName=name),
        lambda: client.delete_function(FunctionName=name),
        ABSENT,
    )


def _create(account: Account, function: Function, *, instead: bool) -> None:
    """Create a function, `instead` of the one of that name."""
    if instead:
        account.clients.lambda_.delete_function(FunctionName=function.name)
    architectures: Any = [function.architecture]
    connection: Any = {"VpcConfig": function.connection} if function.network else {}
    account.clients.lambda_.create_function(
        FunctionName=function.name,
        Code={"ZipFile": function.code.data},
        Architectures=architectures,
        Tags={**function.tags, **({ROLE_TAG: function.role_id} if function.role_id else {})},
        **function.configuration,
        **connection,
    )
    _settle(account, function.name)


def _update_configuration(account: Account, function: Function, **configuration: Any) -> None:
    _wait_for_update(account, function.name)
    account.clients.lambda_.update_function_configuration(
        FunctionName=function.name, **configuration
    )
    _settle(account, function.name)


def _set_role_again(account: Account, arn: str, function: Function) -> None:
    for role in (function.other_role_arn, function.role_arn):
        _update_configuration(account, function, Role=role)
    account.clients.lambda_.tag_resource(Resource=arn, Tags={ROLE_TAG: function.role_id or ""})


def _update_code(account: Account, function: Function) -> None:
    _wait_for_update(account, function.name)
    architectures: Any = [function.architecture]
    account.clients.lambda_.update_function_code(
        FunctionName=function.name,
        Architectures=architectures,
        ZipFile=function.code.data,
    )
    _settle(account, function.name)


def _attributes(function: Function) -> dict[str, Any]:
    return {
        **function.configuration,
        "VpcConfig": function.connection,
        "LastUpdateStatus": "Successful",
        **({"RoleId": function.role_id or "(of the new role)"} if function.other_role_arn else {}),
        "Architecture": function.architecture,
        "code": function.code.sha256,
        **function.failures,
    }


def _read(account: Account, name: str) -> dict[str, Any] | None:
    client = account.clients.lambda_
    answer = found(lambda: client.get_function(FunctionName=name), ABSENT)
    if answer is None:
        return None
    failures = found(lambda: client.get_function_event_invoke_config(FunctionName=name), ABSENT)
    tags = _read_tags(name, answer)
    return {
        **_read_configuration(answer["Configuration"]),
        "State": answer["Configuration"].get("State"),
        **_read_failures(failures or {}),
        "concurrency": answer.get("Concurrency", {}).get("ReservedConcurrentExecutions"),
        "tags": tags,
        "RoleId": tags.get(ROLE_TAG),
    }


def _read_tags(name: str, answer: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the tags in an answer of GetFunction, which succeeds without the right to them."""
    if error := answer.get("TagsError"):
        raise AwsError(
            f"function {name}: GetFunction answered without tags ({error.get('ErrorCode')}: "
            f"{error.get('Message', '').rstrip('.')}). They need lambda:ListTags: "
            "`deploy.py policy` prints all permissions that are needed. Ask for this permission, "
            "then run again."
        )
    tags: Mapping[str, str] = answer.get("Tags", {})
    return tags


def _read_configuration(configuration: "FunctionConfigurationTypeDef") -> dict[str, Any]:
    environment = configuration.get("Environment", {})
    network = configuration.get("VpcConfig", {})
    failed = configuration.get("LastUpdateStatus") == "Failed"
    return {
        "Description": configuration.get("Description", ""),
        "Handler": configuration.get("Handler"),
        "Runtime": configuration.get("Runtime"),
        "MemorySize": configuration.get("MemorySize"),
        "Timeout": configuration.get("Timeout"),
        "Role": configuration.get("Role"),
        "Layers": [layer.get("Arn") for layer in configuration.get("Layers", [])],
        "Environment": {"Variables": environment.get("Variables", {})},
        "KMSKeyArn": configuration.get("KMSKeyArn"),
        "VpcConfig": {
            "SubnetIds": sorted(network.get("SubnetIds", [])),
            "SecurityGroupIds": sorted(network.get("SecurityGroupIds", [])),
        },
        "LastUpdateStatus": "Failed" if failed else "Successful",
        "Architecture": next(iter(configuration.get("Architectures", [])), "x86_64"),
        "code": configuration.get("CodeSha256"),
    }


def _read_failures(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event invoke configuration sets, without the parts that are empty."""
    destinations = answer.get("DestinationConfig", {})
    return {
        "MaximumRetryAttempts": answer.get("MaximumRetryAttempts"),
        "MaximumEventAgeInSeconds": answer.get("MaximumEventAgeInSeconds"),
        "DestinationConfig": {use: where for use, where in destinations.items() if where},
    }


def _wait_for_update(account: Account, name: str) -> None:
    """Wait until no update of a function is in progress, however the last one ended."""
    account.patience.until(
        lambda: _configuration(account, name).get("LastUpdateStatus") in ("Successful", "Failed"),
        f"the update in progress of function {name}",
        SETTLE_SECONDS,
    )


def _settle(account: Account, name: str) -> None:
    """Wait until a function is active and its last update has succeeded."""
    account.patience.until(
        lambda: _is_settled(account, name), f"function {name} to become ready", SETTLE_SECONDS
    )


def _is_settled(account: Account, name: str) -> bool:
    """Return whether it has settled; a missing update status counts as in progress."""
    now: Any = _configuration(account, name)
    for what in ("State", "LastUpdateStatus"):
        if now.get(what) == "Failed":
            reason = f"({now.get(f'{what}ReasonCode')}): {now.get(f'{what}Reason')}"
            raise AwsError(f"function {name}: AWS could not make it ready {reason}")
    # An unused function becomes Inactive until its next invocation.
    states = now.get("State"), now.get("LastUpdateStatus")
    return states in (("Active", "Successful"), ("Inactive", "Successful"))


def _configuration(account: Account, name: str) -> "FunctionConfigurationTypeDef":
    answer: Any = account.clients.lambda_.get_function_configuration(FunctionName=name)
    return answer  # type: ignore[no-any-return]
