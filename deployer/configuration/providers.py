"""The settings of providers: URLs of APIs, keys for them, and secrets that events are signed with.

No message has a value of any of them.
"""

from collections.abc import Callable, Mapping, Sequence

from deployer.operations.webhooks import signing_key
from etl import Events, Rest
from etl.providers import fault_of_url
from etl.sources import Source

URL_EXAMPLE = "https://api.example.com/v1/rates"
KEY_EXAMPLE = "rk_live_..."
WEBHOOK_EXAMPLE = "whsec_..."
MOST_SECRETS = 2  # an old one and a new one

Environment = Mapping[str, str]
Complain = Callable[[str, str, str], None]
"""Takes the name of a setting, what is wrong with it, and an example."""


def read_urls(
    present: Sequence[Source], environment: Environment, complain: Complain
) -> dict[str, str]:
    """Return where APIs are, by source."""
    apis = [source for source in present if isinstance(source, Rest)]
    urls = {source.name: environment.get(source.setting, "") for source in apis}
    for source in apis:
        url = urls[source.name]
        if fault := fault_of_url(url) if url else "is not set":
            complain(source.setting, fault, URL_EXAMPLE)
    return urls


def read_keys(
    sources: Sequence[Source],
    present: Sequence[Source],
    environment: Environment,
    complain: Complain,
) -> dict[str, str]:
    """Return the keys for APIs, by source; those for lists of events there may be or not."""
    keyed: list[Rest | Events] = [
        *(each for each in present if isinstance(each, Rest) and each.key),
        *(each for each in sources if isinstance(each, Events) and each.missed),
    ]
    keys = {each.name: environment.get(each.key_setting, "") for each in keyed}
    for source in keyed:
        key = keys[source.name]
        if not key and isinstance(source, Rest):
            complain(source.key_setting, "is not set", KEY_EXAMPLE)
        elif not (key.isascii() and key.isprintable() and " " not in key):
            complain(source.key_setting, "is no key, which has no blanks", KEY_EXAMPLE)
    return {name: key for name, key in keys.items() if key}


def read_webhooks(
    present: Sequence[Source], environment: Environment, complain: Complain
) -> dict[str, tuple[str, ...]]:
    """Return the secrets that events are signed with, by source."""
    events = [source for source in present if isinstance(source, Events)]
    secrets = {each.name: tuple(environment.get(each.setting, "").split()) for each in events}
    for source in events:
        given = secrets[source.name]
        if not given:
            complain(source.setting, "is not set", WEBHOOK_EXAMPLE)
        elif len(given) > MOST_SECRETS or not all(_is_secret(source, each) for each in given):
            # What it has to be differs: the provider's page says it.
            what = "is not what the provider signs with, or two of it with a blank between them"
            complain(source.setting, what, WEBHOOK_EXAMPLE)
    return secrets


def _is_secret(source: Events, secret: str) -> bool:
    try:
        return bool(signing_key(source.signature, secret))
    except ValueError:
        return False
