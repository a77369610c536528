"""How every resource is read, compared, changed and removed.

A service module reads the resource and says which call sets which attributes; which calls are
made, what is reported, and whether anything is written at all is decided here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from botocore.exceptions import ClientError

T = TypeVar("T")

Action = Literal["created", "updated", "left", "removed"]
Differences = Mapping[str, tuple[object, object]]

ALREADY_EXISTS = frozenset(
    {
        "AlreadyExistsException",
        "BucketAlreadyOwnedByYou",
        "EntityAlreadyExists",
        "ResourceAlreadyExistsException",
        "ResourceExistsException",
    }
)


@dataclass(frozen=True)
class Change:
    """The effect of a step, real or planned; `differences` maps attribute to (before, after)."""

    kind: str
    name: str
    action: Action
    differences: Differences = field(default_factory=dict)


@dataclass(frozen=True)
class Hidden:
    """A value that is compared but never shown."""

    value: object = field(repr=False)

    def __str__(self) -> str:
        return "(hidden)"


@dataclass(frozen=True)
class Update:
    """A call that sets the named attributes to their wanted values."""

    attributes: frozenset[str]
    call: Callable[[], object]


@dataclass(frozen=True)
class Resource:
    """A resource of the account: its wanted and actual attributes, and the calls that set them.

    `actual` is None when the resource does not exist. `create` sets the attributes in
    `created_with`; each of the others is set by its update right after.
    """

    kind: str
    name: str
    wanted: Mapping[str, object]
    actual: Mapping[str, object] | None
    create: Callable[[], object]
    updates: Sequence[Update] = ()
    created_with: frozenset[str] = frozenset()


class Gate(Protocol):
    """The gate that every write goes through; a plan's gate makes none."""

    def write(self, call: Callable[[], object]) -> None:
        """Make the write, or, in a plan, do nothing."""


def one_each(calls: Mapping[str, Callable[[], object]]) -> list[Update]:
    """Return the updates of attributes that each have a call to themselves."""
    return [Update(frozenset({attribute}), call) for attribute, call in calls.items()]


def converge(gate: Gate, resource: Resource) -> Change:
    """Create or update a resource, or leave it when every attribute is as wanted."""
    differences = compare(resource.wanted, resource.actual or {})
    pending = set(differences)
    if resource.actual is None:
        gate.write(resource.create)
        pending -= resource.created_with
    for update in resource.updates:
        if pending & update.attributes:
            gate.write(update.call)
    return Change(resource.kind, resource.name, _action(resource, differences), differences)


def compare(wanted: Mapping[str, object], actual: Mapping[str, object]) -> Differences:
    """Return attribute -> (before, after) of what is not as wanted; absent counts as None."""
    return {
        name: (_shown(actual.get(name)), _shown(value))
        for name, value in wanted.items()
        if actual.get(name) != value
    }


def remove(
    gate: Gate, look: Callable[[], object], call: Callable[[], object], *absent: str
) -> bool:
    """Remove a resource; return whether it existed.

    `absent` are the error codes that mean it does not exist; one that disappears during `call` is
    no error. `call` is repeated from its start when AWS is not ready. In a plan nothing is
    removed, so the same call shows what exists before a teardown, and what is left after it.
    """
    if found(look, *absent) is None:
        return False
    gate.write(lambda: found(call, *absent))
    return True


def found(read: Callable[[], T], *absent: str) -> T | None:
    """Return the answer of `read`, None when it fails with one of the error codes `absent`."""
    try:
        return read()
    except ClientError as error:
        if error_code(error) in absent:
            return None
        raise


def error_code(error: ClientError) -> str:
    """Return AWS's code of an error."""
    return error.response["Error"].get("Code", "")


def already_exists(error: ClientError) -> bool:
    """Return whether a create failed because our resource exists already.

    Happens when the first answer was lost and botocore retried, or when two deployments run at the
    same time.
    """
    code, message = error_code(error), error.response["Error"].get("Message", "")
    # These two codes also mean other things: an update in progress, a malformed parameter.
    return code in ALREADY_EXISTS or (
        code in ("ResourceConflictException", "InvalidParameter") and "already exist" in message
    )


def _shown(value: object) -> object:
    return str(value) if isinstance(value, Hidden) else value


def _action(resource: Resource, differences: Differences) -> Action:
    if resource.actual is None:
        return "created"
    return "updated" if differences else "left"
