"""Keys, URLs and paths in documents, for sources that providers have."""

import re
from urllib.parse import urlsplit

from etl.errors import DeclarationError

LOOPBACK = ("127.0.0.1", "localhost", "::1")

_PATH = re.compile(r"\$|[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*|header:[A-Za-z0-9-]+")


class Keyed:
    """A source whose provider may require a key: the secret setting `<NAME>_API_KEY`."""

    name: str

    @property
    def key_setting(self) -> str:
        """The name of the setting with the key."""
        return f"{self.name.upper()}_API_KEY"

    @property
    def key_secret(self) -> str:
        """The part of the name of the secret of AWS that holds the key."""
        return f"{self.name}-api"

    @property
    def key_secret_setting(self) -> str:
        """The name of the functions' variable with the id of the secret that holds the key."""
        return f"{self.name.upper()}_API_SECRET_ID"


def fault_of_url(url: str) -> str | None:
    """Return why a URL cannot be the one of an API; None if it can.

    Nobody on the network may read a key or change an answer.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is no URL"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "is no URL: write other characters than those of ASCII as %XX"
    if parts.username is not None or parts.password is not None:
        return "has a user in it: a key has its own setting"
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)):
        return "does not begin with https:// (http:// is for this machine alone)"
    return None


def require_path(path: str, what: str) -> None:
    """Raise DeclarationError for an invalid path of a field."""
    if not _PATH.fullmatch(path):
        raise DeclarationError(f"{what}: write its path as in data.object.id or header:X-Name")
