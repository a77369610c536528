"""The URL of a database: what it may be, what TLS follows, and how mistakes are reported."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.configuration.databases import SSL_MODES, DatabaseAddress
from deployer.configuration.settings import Settings
from deployer.errors import SettingsError
from tests.unit.reading_settings import EXAMPLE, REQUIRED, problems


@pytest.mark.parametrize("user", ["%00", "reader%00database", "\udc80"])
def test_a_user_that_postgresql_cannot_have_is_refused(user: str) -> None:
    """NUL, and bytes that are no UTF-8, are malformed here, and nothing else to the server."""
    url = f"postgresql://{user}:s3cret@localhost/db"

    [problem] = problems(SOURCE_DATABASE_URL=url)
    assert problem.startswith("SOURCE_DATABASE_URL is malformed (")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://u:s3cret@host/db", "does not begin with postgresql://"),
        ("mysql://u:s3cret@host/db", "is the URL of a MySQL database, but PostgreSQL is declared"),
        ("postgresql://host/db", "has no user"),
        ("postgresql://u:s3cret@/db", "has no host"),
        ("postgresql://u:s3cret@host", "must end in the name of one database"),
        ("postgresql://u:s3cret@host/a/b", "must end in the name of one database"),
        ("postgresql://u:12#34@host/db", "contains a # (percent-encode it: %23)"),
        (
            "postgresql://u:s3cret@host/db?sslmode=on",
            "has an unknown sslmode (known: " + ", ".join(SSL_MODES) + ")",
        ),
        (
            "postgresql://u:s3cret@host/db?s3cret=1",
            "has an unknown option (known: sslmode, sslrootcert, auth)",
        ),
        (
            "postgresql://u:s3/cret@host:5432/db",
            "is malformed (percent-encode special characters in a password: @ is %40)",
        ),
        (
            "postgresql://u:s3[cret@host/db",
            "is malformed (percent-encode special characters in a password: @ is %40)",
        ),
        (
            "postgresql://u:s3cret@host:port/db",
            "is malformed (percent-encode special characters in a password: @ is %40)",
        ),
        (
            "postgresql://u:s3cret@host/db?sslrootcert=/nowhere/ca.pem",
            "names an sslrootcert that cannot be read, /nowhere/ca.pem",
        ),
    ],
)
def test_a_malformed_url_is_explained_without_its_password(url: str, problem: str) -> None:
    """The mistake in a URL is named, a right one is shown, and the password stays out."""
    found = problems(SOURCE_DATABASE_URL=url)

    assert found == [f"SOURCE_DATABASE_URL {problem}. Example: SOURCE_DATABASE_URL={EXAMPLE}"]


def test_no_chained_error_holds_the_password() -> None:
    """A traceback of a malformed URL, with all errors behind it, does not quote the password."""
    with pytest.raises(SettingsError) as caught:
        Settings.read({**REQUIRED, "SOURCE_DATABASE_URL": "postgresql://u:p@h:s3cret/db"})

    error: BaseException | None = caught.value
    while error is not None:
        assert "s3cret" not in repr(error)
        error = error.__cause__ or error.__context__


# PostgreSQL has no NUL in any text.
WORDS = st.text(st.characters(exclude_characters="\0"), min_size=1)


@given(password=WORDS, username=WORDS)
def test_any_user_and_password_survive_percent_encoding(password: str, username: str) -> None:
    """Whatever characters a password has, percent-encoded it arrives as it is."""
    encoded = "".join(f"%{byte:02X}" for byte in password.encode("utf-8", "replace"))
    user = "".join(f"%{byte:02X}" for byte in username.encode("utf-8", "replace"))

    url = f"postgresql://{user}:{encoded}@host/db"
    address = Settings.read({**REQUIRED, "SOURCE_DATABASE_URL": url}).databases["source"]

    assert address.password == password.encode("utf-8", "replace").decode()
    assert address.username == username.encode("utf-8", "replace").decode()


@pytest.mark.parametrize(
    ("host", "sslmode"),
    [
        ("localhost", "disable"),
        ("127.0.0.1", "disable"),
        ("[::1]", "disable"),
        ("db.localhost", "verify-full"),
        ("localhost.example.com", "verify-full"),
        ("10.0.0.1", "verify-full"),
        ("db.example.com", "verify-full"),
    ],
)
def test_tls_is_assumed_except_on_this_machine(host: str, sslmode: str) -> None:
    """A database elsewhere is reached by verified TLS unless the URL says otherwise."""
    url = f"postgresql://u:p@{host}/db"

    assert (
        Settings.read({**REQUIRED, "SOURCE_DATABASE_URL": url}).databases["source"].sslmode
        == sslmode
    )


@pytest.mark.parametrize(
    ("host", "asked", "sslmode"),
    [
        ("localhost", "prefer", "disable"),
        ("db.example.com", "prefer", "require"),
        ("localhost", "allow", "disable"),
        ("db.example.com", "allow", "require"),
        ("localhost", "verify-ca", "verify-full"),
        ("db.example.com", "verify-ca", "verify-full"),
    ],
)
def test_a_mode_of_libpq_becomes_one_that_is_no_weaker(host: str, asked: str, sslmode: str) -> None:
    """A URL that works elsewhere works here, and never sends a password over the network bare."""
    url = f"postgresql://u:p@{host}/db?sslmode={asked}"

    assert (
        Settings.read({**REQUIRED, "SOURCE_DATABASE_URL": url}).databases["source"].sslmode
        == sslmode
    )


@pytest.mark.parametrize(
    ("query", "sslmode"),
    [
        ("", "verify-full"),
        ("&sslmode=prefer", "require"),
        ("&sslmode=require", "require"),
        ("&sslmode=verify-ca", "verify-full"),
        ("&sslmode=disable", "disable"),
    ],
)
def test_an_authority_is_never_left_unused(tmp_path: Path, query: str, sslmode: str) -> None:
    """Who names an authority wants a certificate to be checked, on this machine too."""
    path = tmp_path / "ca.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\n")
    url = f"postgresql://u:p@localhost/db?sslrootcert={path}{query}"

    assert (
        Settings.read({**REQUIRED, "SOURCE_DATABASE_URL": url}).databases["source"].sslmode
        == sslmode
    )


def test_a_url_without_a_password_has_an_empty_one() -> None:
    """A server that trusts its callers needs none."""
    settings = Settings.read({**REQUIRED, "SOURCE_DATABASE_URL": "postgresql://u@localhost/db"})

    assert (settings.databases["source"].username, settings.databases["source"].password) == (
        "u",
        "",
    )


def test_a_certificate_goes_along(tmp_path: Path) -> None:
    """The PEM text of `sslrootcert` becomes part of the secret, from a path with spaces too."""
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    path = tmp_path / "my ca.pem"
    path.write_text(pem)
    url = f"postgresql://u:p@db.example.com/db?sslmode=verify-full&sslrootcert={path}"

    assert Settings.read({**REQUIRED, "SOURCE_DATABASE_URL": url}).databases["source"].secret() == {
        "host": "db.example.com",
        "port": 5432,
        "username": "u",
        "password": "p",
        "dbname": "db",
        "sslmode": "verify-full",
        "ca": pem,
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("-----BEGIN CERTIFICATE-----\n" + "M" * 50_000, "larger than 50 kB"),
        ("MIIB", "without a PEM certificate"),
    ],
)
def test_a_certificate_that_will_not_do_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    """A file that is no certificate, or too large for a secret, is named before deployment."""
    path = tmp_path / "ca.pem"
    path.write_text(text)
    url = f"postgresql://u:p@host/db?sslrootcert={path}"

    assert problems(SOURCE_DATABASE_URL=url) == [
        (
            f"SOURCE_DATABASE_URL names an sslrootcert {problem}, {path}. "
            f"Example: SOURCE_DATABASE_URL={EXAMPLE}"
        )
    ]


@pytest.mark.parametrize("char", [chr(code) for code in range(128)] + list("äß\u00a0\u2100日😀"))
def test_a_password_that_is_not_encoded_is_used_as_it_is_or_refused(char: str) -> None:
    """No character of a password changes what the URL means: it stays, or the URL is malformed."""
    for password in (f"s3cret{char}tail", f"{char}s3cret", f"12{char}s3cret", f"s3cret{char}"):
        url = f"postgresql://reader:{password}@db.example.com/totesys"
        found = read_or_problem(url)
        if isinstance(found, str):
            assert "s3cret" not in found
            assert "percent-encode" in found
        else:
            assert (found.username, found.password) == ("reader", password)
            assert (found.host, found.dbname) == ("db.example.com", "totesys")


def read_or_problem(url: str) -> DatabaseAddress | str:
    """Return the address that a URL names, or what is said of it."""
    try:
        return Settings.read({**REQUIRED, "SOURCE_DATABASE_URL": url}).databases["source"]
    except SettingsError as error:
        return str(error)
