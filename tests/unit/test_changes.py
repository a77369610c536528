"""Changing a resource from its actual to its wanted state, with calls that are only recorded."""

from collections.abc import Callable, Mapping

import pytest
from botocore.exceptions import ClientError

from deployer.aws.changes import (
    Change,
    Hidden,
    Resource,
    Update,
    already_exists,
    compare,
    converge,
)


class Notes:
    """A gate that lets writes through, or, as in a plan, does not."""

    def __init__(self, planning: bool = False) -> None:
        self.calls: list[str] = []
        self._planning = planning

    def write(self, call: Callable[[], object]) -> None:
        if not self._planning:
            call()

    def call(self, name: str) -> Callable[[], object]:
        return lambda: self.calls.append(name)

    def resource(self, actual: Mapping[str, object] | None) -> Resource:
        return Resource(
            kind="thing",
            name="it",
            wanted={"size": 2, "color": "red", "tags": {"a": "b"}},
            actual=actual,
            create=self.call("create"),
            created_with=frozenset({"size"}),
            updates=[
                Update(frozenset({"size", "color"}), self.call("configure")),
                Update(frozenset({"tags"}), self.call("tag")),
            ],
        )


@pytest.mark.parametrize(
    ("actual", "calls", "change"),
    [
        (
            {"size": 2, "color": "red", "tags": {"a": "b"}, "more": 1},
            [],
            Change("thing", "it", "left", {}),
        ),
        (
            {"size": 1, "color": "blue", "tags": {"a": "b"}},
            ["configure"],
            Change("thing", "it", "updated", {"size": (1, 2), "color": ("blue", "red")}),
        ),
        (
            {"size": 2, "color": "red"},
            ["tag"],
            Change("thing", "it", "updated", {"tags": (None, {"a": "b"})}),
        ),
        (
            None,
            ["create", "configure", "tag"],
            Change(
                "thing",
                "it",
                "created",
                {"size": (None, 2), "color": (None, "red"), "tags": (None, {"a": "b"})},
            ),
        ),
    ],
)
def test_only_what_differs_is_written(
    actual: Mapping[str, object] | None, calls: list[str], change: Change
) -> None:
    """A resource is left, updated by the fewest calls, or created, and the change says which."""
    notes = Notes()

    assert converge(notes, notes.resource(actual)) == change
    assert notes.calls == calls


def test_a_plan_says_the_same_and_writes_nothing() -> None:
    """With the gate closed the change is what it would be with the gate open."""
    planned, done = Notes(planning=True), Notes()

    assert converge(planned, planned.resource(None)) == converge(done, done.resource(None))
    assert planned.calls == []


def test_hidden_values_are_compared_and_not_shown() -> None:
    """A changed secret is a difference that shows neither the old value nor the new one."""
    assert compare({"value": Hidden("new")}, {"value": Hidden("old")}) == {
        "value": ("(hidden)", "(hidden)")
    }
    assert compare({"value": Hidden("same")}, {"value": Hidden("same")}) == {}
    assert "new" not in repr(Hidden("new"))


@pytest.mark.parametrize(
    ("code", "message", "exists"),
    [
        ("EntityAlreadyExists", "Role with name load already exists.", True),
        ("BucketAlreadyOwnedByYou", "", True),
        ("ResourceAlreadyExistsException", "The log group is there", True),
        ("ResourceExistsException", "The secret is there", True),
        ("AlreadyExistsException", "Database already exists.", True),
        ("ResourceConflictException", "Function already exist: load", True),
        ("ResourceConflictException", "An update is in progress for resource: load", False),
        ("InvalidParameter", "Invalid parameter: Subscription already exists", True),
        ("InvalidParameter", "Invalid parameter: TopicArn", False),
        ("InvalidRequestException", "A secret that is deleted may already exist", False),
        ("BucketAlreadyExists", "The requested bucket name already exists", False),
    ],
)
def test_only_a_resource_of_ours_exists_already(code: str, message: str, exists: bool) -> None:
    """A create that fails for another reason is no success, whatever its message mentions."""
    error = ClientError({"Error": {"Code": code, "Message": message}}, "Create")

    assert already_exists(error) is exists
