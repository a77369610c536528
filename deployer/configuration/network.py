"""The network of the functions that connect to databases: the user's subnets and groups.

Whether they exist, and what can be reached from them, is for `deployer.resources.reach` to say.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SUBNETS, GROUPS = "SUBNET_IDS", "SECURITY_GROUP_IDS"
# https://docs.aws.amazon.com/lambda/latest/api/API_VpcConfig.html
MOST_SUBNETS, MOST_GROUPS = 16, 5
SUBNET_ID = re.compile(r"subnet-[0-9a-f]{8,17}")
GROUP_ID = re.compile(r"sg-[0-9a-f]{8,17}")


@dataclass(frozen=True)
class Network:
    """The ids of subnets and of security groups, each sorted."""

    subnets: tuple[str, ...]
    groups: tuple[str, ...]


def read_network(
    environment: Mapping[str, str], complain: Callable[[str, str, str], None]
) -> Network | None:
    """Read the network; None if neither setting is set.

    `complain` is called with the name of a setting, what is wrong with it, and an example.
    """

    def read(name: str, pattern: re.Pattern[str], most: int, example: str) -> tuple[str, ...]:
        found = sorted(set(re.split(r"[,\s]+", environment.get(name, "").strip(", \t\n"))) - {""})
        if wrong := [each for each in found if not pattern.fullmatch(each)]:
            complain(name, f"has no id in {', '.join(map(repr, wrong))}", example)
        if len(found) > most:
            complain(name, f"has {len(found)} ids, and Lambda accepts {most}", example)
        return tuple(found)

    an_example = "subnet-0123456789abcdef0,subnet-0fedcba9876543210", "sg-0123456789abcdef0"
    subnets = read(SUBNETS, SUBNET_ID, MOST_SUBNETS, an_example[0])
    groups = read(GROUPS, GROUP_ID, MOST_GROUPS, an_example[1])
    if subnets and not groups:
        complain(GROUPS, f"is not set, but {SUBNETS} is", an_example[1])
    if groups and not subnets:
        complain(SUBNETS, f"is not set, but {GROUPS} is", an_example[0])
    return Network(subnets, groups) if subnets and groups else None
