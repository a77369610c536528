"""The survivors that are explained in `survivors.toml`."""

import tomllib
from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("survivors.toml")

Identity = tuple[str, str, str]
"""The module, the function and the mutation, which stay the same while lines move."""


class Survivor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mutant that no test has to notice, and why."""

    module: str
    function: str
    mutation: str
    reason: str


def explanations() -> dict[Identity, str]:
    """Return the reasons of all explained survivors."""
    listed = msgspec.convert(tomllib.loads(FILE.read_text())["survivor"], list[Survivor])
    return {(each.module, each.function, each.mutation): each.reason for each in listed}
