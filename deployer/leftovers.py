"""What an earlier deployment needed, and neither this one nor a rollback does."""

from collections.abc import Iterable, Iterator, Sequence

from deployer.aws import lambda_layers, secrets
from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.configuration.settings import Settings
from deployer.errors import explaining
from deployer.records import Record
from deployer.resources import specs
from deployer.resources.names import Names


def old_layers(
    account: Account, names: Names, layers: Iterable[str], records: Sequence[Record]
) -> Iterator[Change]:
    """Remove the versions of some layers that none of the records names; yield what is removed."""
    used = {arn for record in records for arn in record.layers}
    for name in map(names.layer, layers):
        with explaining(f"layer {name}"):
            yield from lambda_layers.remove_old_versions(account, name, used)


def old_secrets(account: Account, names: Names, settings: Settings) -> list[Change]:
    """Remove the secrets of sources and targets that are no longer declared or set."""
    wanted = [names.secret(name) for name in settings.secrets]
    tags = specs.own_tags(settings.project, settings.stage)
    with explaining("old secrets"):
        return secrets.remove_other_secrets(account, names.secret(""), wanted, tags)
