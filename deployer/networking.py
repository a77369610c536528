"""The network of a deployment's functions: checked first, and left with Lambda's help.

A network is the user's: nothing in it is created, changed or removed here.
"""

from functools import cached_property
from typing import get_args

from deployer.aws import iam, networks
from deployer.aws.account import Account
from deployer.configuration.network import Network
from deployer.configuration.settings import Settings
from deployer.errors import SettingsError, explaining
from deployer.resources import reach
from deployer.resources.names import FunctionUse, Names
from deployer.resources.policies import CHANGES_OF_NETWORKS

# Every deployment has this function, and it always connects to a database.
ALWAYS_CONNECTED: FunctionUse = "load"
ALL_USES = get_args(FunctionUse)


class FunctionNetwork:
    """The network of the functions that connect to databases, if the settings name one."""

    def __init__(self, account: Account, settings: Settings, names: Names) -> None:
        self._account = account
        self._settings = settings
        self._names = names
        self.surroundings: reach.Surroundings | None = None

    def check(self) -> None:
        """Read what is around the network.

        Raises:
            SettingsError: functions could not work in it; a line for each problem.
        """
        network = self._settings.network
        if network is None:
            return
        with explaining("network"):
            self.surroundings = networks.surroundings(self._account, network)
        if problems := reach.problems(self._settings, network, self.surroundings):
            raise SettingsError(problems)

    def of(self, use: FunctionUse) -> Network | None:
        """Return the network of a function."""
        return self._settings.network if use in self._connected else None

    def other_than(self, use: FunctionUse) -> FunctionUse:
        """Return a function whose role another one can have for a moment.

        Lambda refuses a function in a network a role without the rights to it.
        """
        among = self._connected if use in self._connected else ("extract", ALWAYS_CONNECTED)
        return next(each for each in among if each != use)

    def needs_rights(self, use: FunctionUse) -> bool:
        """Return whether the role of a function needs the rights to a network."""
        return use in self._connected and (self._settings.network is not None or self._is_left)

    @cached_property
    def _connected(self) -> tuple[FunctionUse, ...]:
        return reach.in_network(self._settings)

    @cached_property
    def _is_left(self) -> bool:
        """Whether Lambda still has interfaces in a network that the settings no longer name."""
        with explaining("network interfaces"):
            return bool(lambda_interfaces(self._account, self._names))


def lambda_interfaces(account: Account, names: Names) -> list[str]:
    """Return the ids of the interfaces that Lambda has in networks for a deployment's functions.

    Nothing is asked of EC2, which may be forbidden, where no role has rights to a network.
    """
    is_ours = ALWAYS_CONNECTED not in names.existing_roles
    role = names.role(ALWAYS_CONNECTED)
    if is_ours and not iam.allows(account, role, CHANGES_OF_NETWORKS[0]):
        return []
    return networks.interfaces(account, [names.function(use) for use in ALL_USES])
