"""SUBNET_IDS and SECURITY_GROUP_IDS: read together, or refused in one line each."""

import pytest

from deployer.configuration.network import Network
from deployer.configuration.settings import Settings
from tests.unit.reading_settings import REQUIRED, problems

SUBNETS = {"SUBNET_IDS": "subnet-0123456789abcdef0"}
GROUPS = {"SECURITY_GROUP_IDS": "sg-0123456789abcdef0"}


@pytest.mark.parametrize("between", [",", ", ", " ", "\n"])
def test_ids_are_separated_by_commas_or_blanks(between: str) -> None:
    """However they are copied from a console: sorted, and each once."""
    subnets = between.join(["subnet-bbbbbbbb", "subnet-aaaaaaaa", "subnet-bbbbbbbb"])
    found = Settings.read({**REQUIRED, "SUBNET_IDS": f" {subnets},", **GROUPS}).network

    assert found == Network(("subnet-aaaaaaaa", "subnet-bbbbbbbb"), ("sg-0123456789abcdef0",))


def test_by_default_there_is_no_network() -> None:
    """Functions reach public databases, as before."""
    assert Settings.read(REQUIRED).network is None
    assert Settings.read({**REQUIRED, "SUBNET_IDS": "", "SECURITY_GROUP_IDS": " "}).network is None


def test_one_without_the_other_is_refused() -> None:
    """Lambda takes both or neither."""
    [without_groups] = problems(**SUBNETS)
    [without_subnets] = problems(**GROUPS)

    assert without_groups.startswith("SECURITY_GROUP_IDS is not set, but SUBNET_IDS is. Example: ")
    assert without_subnets.startswith("SUBNET_IDS is not set, but SECURITY_GROUP_IDS is. Example: ")


@pytest.mark.parametrize("wrong", ["vpc-0123456789abcdef0", "subnet-xyz", "sg-0123456789abcdef0"])
def test_an_id_of_something_else_is_refused(wrong: str) -> None:
    """Before AWS is asked for it."""
    [line] = problems(SUBNET_IDS=f"subnet-aaaaaaaa,{wrong}", **GROUPS)

    assert line.startswith(f"SUBNET_IDS has no id in '{wrong}'. Example: SUBNET_IDS=subnet-")


def test_lambda_accepts_16_subnets_and_5_groups() -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_VpcConfig.html"""
    subnets = [f"subnet-0000000{number:x}" for number in range(17)]
    groups = [f"sg-0000000{number}" for number in range(6)]

    lines = problems(SUBNET_IDS=",".join(subnets), SECURITY_GROUP_IDS=",".join(groups))

    assert [line.partition(". ")[0] for line in lines] == [
        "SUBNET_IDS has 17 ids, and Lambda accepts 16",
        "SECURITY_GROUP_IDS has 6 ids, and Lambda accepts 5",
    ]
