"""The one way in which every resource is changed from its actual to its wanted state.

A service module reads the resource and says which call changes which attributes; what is to be
called, what is reported, and whether anything is written at all is decided here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Action = Literal["created", "updated", "left", "removed"]
Differences = Mapping[str, tuple[object, object]]


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
    """One thing in the account: how it should be, how it is, and the calls between the two.

    `actual` is None when the thing does not exist. `create` sets the attributes in `created_with`;
    the others are set by their update right after.
    """

    kind: str
    name: str
    wanted: Mapping[str, object]
    actual: Mapping[str, object] | None
    create: Callable[[], object]
    updates: Sequence[Update] = ()
    created_with: frozenset[str] = frozenset()


def one_each(calls: Mapping[str, Callable[[], object]]) -> list[Update]:
    """Return the updates of attributes that each have their own call."""
    return [Update(frozenset({attribute}), call) for attribute, call in calls.items()]


class Gate(Protocol):
    """The gate that every write goes through; a plan's gate makes none."""

    def write(self, call: Callable[[], object]) -> None:
        """Make a write, or do not."""


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


def _shown(value: object) -> object:
    return str(value) if isinstance(value, Hidden) else value


def _action(resource: Resource, differences: Differences) -> Action:
    if resource.actual is None:
        return "created"
    return "updated" if differences else "left"
