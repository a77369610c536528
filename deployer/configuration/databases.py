"""The address of a database, as a URL and as a secret.

The password is in no repr and no message: problems of a URL are described in our words, because the
messages of `urllib.parse` quote parts of it.
"""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from deployer.errors import AddressError

OPTIONS = ("sslmode", "sslrootcert", "auth")
AUTHS = ("password", "iam")
# In the ARN of an account of a database * and ? are patterns, and / ends a part.
IAM_USER = re.compile(r"[\w.@-]+", re.ASCII)
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# A secret has at most 65,536 bytes, and JSON escapes every line end of the PEM text.
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
MAX_CA_BYTES = 50_000


@dataclass(frozen=True)
class Kind:
    """A kind of database: the product, the schemes of its URLs, and its default port."""

    product: str
    schemes: tuple[str, ...]
    port: int

    @property
    def example(self) -> str:
        """An example of its URLs."""
        return f"{self.schemes[0]}://user:password@host:{self.port}/database"


# By the `kind` of a declared source or target.
KINDS = {
    "postgres": Kind("PostgreSQL", ("postgresql", "postgres"), 5432),
    "mysql": Kind("MySQL", ("mysql", "mariadb"), 3306),
}

MALFORMED = "is malformed (percent-encode special characters in a password: @ is %40)"


@dataclass(frozen=True)
class DatabaseAddress:
    """Where a database is and how to log in; `ca` is PEM text, None for the public CAs.

    With `auth` `iam` there is no password: RDS accepts a token that is made for each login.
    """

    host: str
    username: str
    password: str = field(repr=False)
    dbname: str
    port: int = 5432
    sslmode: str = "verify-full"
    ca: str | None = field(default=None, repr=False)
    auth: str = "password"

    def secret(self) -> dict[str, str | int | None]:
        """Return the form in which the functions read it from Secrets Manager."""
        return {
            "host": self.host,
            "port": self.port,
            "username": self.username,
            "password": self.password,
            "dbname": self.dbname,
            "sslmode": self.sslmode,
            "ca": self.ca,
            **({"auth": self.auth} if self.auth != "password" else {}),
        }


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine: a loopback address, or `localhost` itself.

    A name under `localhost` is not: a name server may resolve it to any address.
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def parse_database_url(url: str, kind: str = "postgres") -> DatabaseAddress:
    """Parse `postgresql://user:password@host:port/database?sslmode=&sslrootcert=&auth=`.

    For the kind `mysql` the scheme is `mysql` or `mariadb`. The password may be empty, for a server
    that trusts its clients, and is empty with `auth=iam`. Each mode of libpq that we do not have
    becomes the nearest one that is no weaker.

    Raises:
        AddressError: the problem; the message continues the name of the setting.
    """
    if not url:
        raise AddressError("is not set")
    wanted = KINDS[kind]
    split, port = _split(url)
    options = {name: values[-1] for name, values in parse_qs(split.query).items()}
    problem = _problem(split, wanted) or _problem_with_options(options, OPTIONS)
    if problem:
        raise AddressError(problem)
    host = unquote(split.hostname or "")
    certificate = options.get("sslrootcert")
    address = DatabaseAddress(
        host=host,
        port=port or wanted.port,
        username=unquote(split.username or ""),
        password=unquote(split.password or ""),
        dbname=unquote(split.path[1:]),
        sslmode=_sslmode(options.get("sslmode"), may_be_bare=is_loopback(host) and not certificate),
        ca=_read_certificate(certificate) if certificate else None,
        auth=options.get("auth", "password"),
    )
    if problem := _problem_with_login(address):
        raise AddressError(problem)
    return address


def parse_database_address(url: str, kind: str = "postgres") -> dict[str, str | int]:
    """Parse `postgresql://host:port/database?sslmode=`, of which any part may be left out.

    Return those that are there, by their names in a secret; raise AddressError as above. Who may
    log in is up to the secret, and so is a certificate.
    """
    wanted = KINDS[kind]
    split, port = _split(url)
    options = {name: values[-1] for name, values in parse_qs(split.query).items()}
    host, dbname = unquote(split.hostname or ""), unquote(split.path[1:])
    if split.scheme not in wanted.schemes:
        raise AddressError(_wrong_scheme(split.scheme, wanted))
    if split.username or split.password or split.fragment or "/" in dbname:
        raise AddressError("must have host, port and database at most: the secret has the login")
    if problem := _problem_with_options(options, ("sslmode",)):
        raise AddressError(problem)
    mode = options.get("sslmode")
    bare = is_loopback(host)
    sslmode = _sslmode(mode, may_be_bare=bare) if mode or bare else None
    found = {"host": host, "port": port, "dbname": dbname, "sslmode": sslmode}
    return {name: value for name, value in found.items() if value}


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        split = urlsplit(url)
        url.encode()  # bytes of the environment that are not UTF-8 cannot be stored in a secret
        # urlsplit strips the ends and removes these three everywhere, even from passwords. NUL
        # ends a text in the protocols, so that another parameter could follow.
        unfit = "\0" in unquote(url) or any(char in url for char in "\t\r\n")
        if url == url.strip() and not unfit:
            return split, split.port
    except ValueError:
        pass  # Raised below: raised here, it would carry this error, and its text, as its context.
    raise AddressError(MALFORMED)


def _problem(split: SplitResult, wanted: Kind) -> str | None:
    if split.scheme not in wanted.schemes:
        return _wrong_scheme(split.scheme, wanted)
    if split.fragment:
        return "contains a # (percent-encode it: %23)"
    if not split.username:
        # A / or ? in the password has ended the host.
        return MALFORMED if "@" in split.path + split.query else "has no user"
    if not split.hostname:
        return "has no host"
    if not split.path[1:] or "/" in split.path[1:]:
        return "must end in the name of one database"
    return None


def _wrong_scheme(scheme: str, wanted: Kind) -> str:
    for other in KINDS.values():
        if scheme in other.schemes:
            return f"is the URL of a {other.product} database, but {wanted.product} is declared"
    return f"does not begin with {wanted.schemes[0]}://"


def _problem_with_options(options: dict[str, str], known: tuple[str, ...]) -> str | None:
    if options.keys() - set(known):
        return f"has an unknown option (known: {', '.join(known)})"
    if options.get("sslmode", "disable") not in SSL_MODES:
        return f"has an unknown sslmode (known: {', '.join(SSL_MODES)})"
    if options.get("auth", "password") not in AUTHS:
        return f"has an unknown auth (known: {', '.join(AUTHS)})"
    return None


def _problem_with_login(address: DatabaseAddress) -> str | None:
    """Return what is wrong with a login by IAM: its token must reach nobody but the server."""
    if address.auth == "password":
        return None
    if address.password:
        return "has a password, and auth=iam makes one for each login: leave it out"
    if address.sslmode != "verify-full":
        return "has auth=iam, which needs a verified certificate: sslmode=verify-full"
    if not IAM_USER.fullmatch(address.username):
        return "has a user that a policy cannot name exactly (auth=iam): letters, digits and _.@-"
    return None


def _sslmode(asked: str | None, *, may_be_bare: bool) -> str:
    """Return our mode for one of libpq, or for none."""
    match asked:
        case None:
            return "disable" if may_be_bare else "verify-full"
        case "allow" | "prefer":
            # They fall back to no encryption where the server has no TLS.
            return "disable" if may_be_bare else "require"
        case "verify-ca":
            return "verify-full"
    return asked


def _read_certificate(path: str) -> str:
    try:
        pem = Path(path).expanduser().read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise AddressError(f"names an sslrootcert that cannot be read, {path}") from error
    if "-----BEGIN CERTIFICATE-----" not in pem:
        raise AddressError(f"names an sslrootcert without a PEM certificate, {path}")
    if len(pem) > MAX_CA_BYTES:
        raise AddressError(f"names an sslrootcert larger than {MAX_CA_BYTES // 1000} kB, {path}")
    return pem
