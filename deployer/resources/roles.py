"""The rights of each function's role, by the settings of a deployment."""

from deployer.configuration.settings import Settings
from deployer.resources import policies, reach, specs
from deployer.resources.names import FunctionUse, Names
from deployer.resources.resource_policies import Policy


def rights_of(
    use: FunctionUse, names: Names, settings: Settings, *, in_network: bool = False
) -> Policy:
    """Return the least rights that a function of a deployment needs, and Lambda for it."""
    return policies.function_policy(
        use,
        names,
        settings.declared,
        settings.buckets,
        apis=settings.urls,
        report_secrets=settings.reports.read_secrets,
        writes_notices=use in specs.NOTICE_WRITERS[settings.notify],
        in_network=in_network,
        existing=settings.existing,
        logins=settings.logins,
        key=settings.organisation.kms_key,
        proof_key=settings.organisation.proof_key,
    )


def whole_rights_of(use: FunctionUse, names: Names, settings: Settings) -> Policy:
    """Return the same, with the rights to the network that the settings name."""
    connected = reach.in_network(settings) if settings.network else ()
    return rights_of(use, names, settings, in_network=use in connected)
