"""Reading the settings: what is accepted, what is assumed, and how mistakes are told."""

import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipelines
from deployer.databases import SSL_MODES, DatabaseAddress
from deployer.errors import SettingsError
from deployer.names import Names
from deployer.settings import Settings, load_dotenv
from deployer.specs import FUNCTIONS, function_environment

REQUIRED = {
    "SOURCE_DATABASE_URL": "postgresql://reader:s3cret@localhost/totesys",
    "WAREHOUSE_DATABASE_URL": "postgresql://loader:s3cret@db.example.com:6543/warehouse",
}
EXAMPLE = "postgresql://user:password@host:5432/database"


def problems(**changed: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.read({**REQUIRED, **changed})
    assert caught.value.exit_status == 2
    return list(caught.value.problems)


def test_only_the_databases_are_required() -> None:
    """Two addresses make a deployment; everything else has a default."""
    assert Settings.read(REQUIRED) == Settings(
        pipeline="totesys",
        databases={
            "source": DatabaseAddress(
                host="localhost",
                port=5432,
                username="reader",
                password="s3cret",
                dbname="totesys",
                sslmode="disable",
                ca=None,
            ),
            "warehouse": DatabaseAddress(
                host="db.example.com",
                port=6543,
                username="loader",
                password="s3cret",
                dbname="warehouse",
                sslmode="verify-full",
                ca=None,
            ),
        },
        warehouse_schema="public",
        warehouse_managed=False,
        alert_email=None,
        notify="failures",
        project="totesys-etl",
        stage="dev",
        extract_schedule="rate(1 minute)",
        load_schedule="rate(2 minutes)",
        expires_at=None,
        runtime="python3.13",
        architecture="arm64",
    )


def test_everything_can_be_set() -> None:
    """Each setting ends where it belongs; a time without a zone is UTC."""
    settings = Settings.read(
        {
            **REQUIRED,
            "WAREHOUSE_SCHEMA": "Team 7",
            "WAREHOUSE_MANAGED": "true",
            "ALERT_EMAIL": "team@example.com",
            "NOTIFY": "every-batch",
            "PROJECT": "shop",
            "STAGE": "prod",
            "EXTRACT_SCHEDULE": "rate(5 minutes)",
            "LOAD_SCHEDULE": "cron(0/10 8-18 ? * MON-FRI *)",
            "SANDBOX_EXPIRES_AT": "2025-01-31T18:00:00",
            "LAMBDA_RUNTIME": "python3.12",
            "LAMBDA_ARCHITECTURE": "x86_64",
        }
    )

    assert settings == Settings(
        pipeline="totesys",
        databases=settings.databases,
        warehouse_schema="Team 7",
        warehouse_managed=True,
        alert_email="team@example.com",
        notify="every-batch",
        project="shop",
        stage="prod",
        extract_schedule="rate(5 minutes)",
        load_schedule="cron(0/10 8-18 ? * MON-FRI *)",
        expires_at=datetime(2025, 1, 31, 18, tzinfo=UTC),
        runtime="python3.12",
        architecture="x86_64",
    )


def test_an_empty_variable_is_not_set() -> None:
    """`STAGE=` in a .env file means the default, as if the line were not there."""
    assert Settings.read({**REQUIRED, "STAGE": "", "ALERT_EMAIL": ""}) == Settings.read(REQUIRED)


@pytest.mark.parametrize("value", ["True", "yes", "1", " true", "off"])
def test_a_switch_is_true_or_false(value: str) -> None:
    """Nobody has to guess how anything else is read: it is refused."""
    assert problems(WAREHOUSE_MANAGED=value) == [
        "WAREHOUSE_MANAGED must be one of false, true. Example: WAREHOUSE_MANAGED=false"
    ]


@pytest.mark.parametrize("value", ["true", "false"])
def test_the_load_is_told_whether_the_warehouse_is_ours(value: str) -> None:
    """The setting goes to load, which makes what is missing, and to no other function."""
    settings = Settings.read({**REQUIRED, "WAREHOUSE_MANAGED": value})
    names = Names(settings.project, settings.stage, "123456789012", "eu-west-2")

    told = {
        spec.use: function_environment(spec.use, names, settings).get("WAREHOUSE_MANAGED")
        for spec in FUNCTIONS
    }

    assert told == {"extract": None, "transform": None, "load": value, "reconcile": None}


def test_all_problems_are_told_at_once() -> None:
    """Everything that is missing or malformed is named in one run, one line each."""
    with pytest.raises(SettingsError) as caught:
        Settings.read({"STAGE": "Prod!", "LAMBDA_ARCHITECTURE": "mips"})

    assert str(caught.value).splitlines() == [
        f"SOURCE_DATABASE_URL is not set. Example: SOURCE_DATABASE_URL={EXAMPLE}",
        f"WAREHOUSE_DATABASE_URL is not set. Example: WAREHOUSE_DATABASE_URL={EXAMPLE}",
        "STAGE is malformed: 'Prod!'. Example: STAGE=dev",
        "LAMBDA_ARCHITECTURE must be one of arm64, x86_64. Example: LAMBDA_ARCHITECTURE=arm64",
    ]


@pytest.mark.parametrize("name", ["WAREHOUSE_SCHEMA", "STAGE", "LOAD_SCHEDULE", "ALERT_EMAIL"])
def test_an_address_in_the_wrong_variable_is_not_shown(name: str) -> None:
    """Who mixes up two lines of `.env` does not find a password in the log of a build."""
    shown = problems(**{name: f"postgresql://reader:s3cret@db.example.com/{'x' * 64}"})

    assert "s3cret" not in shown[0]
    assert "(a URL)" in shown[0]


@pytest.mark.parametrize("user", ["%00", "reader%00database", "\udc80"])
def test_a_user_that_postgresql_cannot_have_is_refused(user: str) -> None:
    """NUL, and bytes that are no UTF-8, are malformed here, and nothing else to the server."""
    url = f"postgresql://{user}:s3cret@localhost/db"

    [problem] = problems(SOURCE_DATABASE_URL=url)
    assert problem.startswith("SOURCE_DATABASE_URL is malformed (")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROJECT", "Shop"),
        ("PROJECT", "shop-"),
        ("STAGE", "a b"),
        ("ALERT_EMAIL", "team"),
        ("NOTIFY", "always"),
        ("EXTRACT_SCHEDULE", "rate(1 minutes)"),
        ("EXTRACT_SCHEDULE", "rate(5 minute)"),
        ("LOAD_SCHEDULE", "cron(* * *)"),
        ("LOAD_SCHEDULE", "every minute"),
        ("SANDBOX_EXPIRES_AT", "friday"),
        ("LAMBDA_RUNTIME", "python2.7"),
        ("WAREHOUSE_SCHEMA", "s" * 64),
    ],
)
def test_a_malformed_setting_is_one_line_with_its_name(name: str, value: str) -> None:
    """What AWS or PostgreSQL would refuse later is refused before anything is touched."""
    told = problems(**{name: value})

    assert [line.split()[0] for line in told] == [name]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://u:s3cret@host/db", "does not begin with postgresql://"),
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
            "has an unknown option (known: sslmode, sslrootcert)",
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
            "names an unreadable sslrootcert, /nowhere/ca.pem",
        ),
    ],
)
def test_a_malformed_url_is_explained_without_its_password(url: str, problem: str) -> None:
    """The mistake in a URL is named, a right one is shown, and the password stays out."""
    told = problems(SOURCE_DATABASE_URL=url)

    assert told == [f"SOURCE_DATABASE_URL {problem}. Example: SOURCE_DATABASE_URL={EXAMPLE}"]


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
        ("-----BEGIN CERTIFICATE-----\n" + "M" * 50_000, "of over 50 kB"),
        ("MIIB", "that holds no PEM certificate"),
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


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """A variable of the shell is not overwritten by `.env`; the others are added."""
    (tmp_path / ".env").write_text("STAGE=file\nAWS_REGION=eu-west-2\nPROJECT\n")
    environment = {"STAGE": "shell"}

    load_dotenv(tmp_path / ".env", environment, ignore)

    assert environment == {"STAGE": "shell", "AWS_REGION": "eu-west-2"}


def ignore(_: str) -> None:
    """Take a warning, and do nothing."""


@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_a_password_of_the_file_is_taken_as_it_is_written(tmp_path: Path, quote: str) -> None:
    """A password with `${HOME}` in it stays that password."""
    url = "postgresql://reader:a${HOME}b$c${d:-e}@db.example.com/totesys"
    (tmp_path / ".env").write_text(f"SOURCE_DATABASE_URL={quote}{url}{quote}\n")
    environment: dict[str, str] = {"HOME": "/root"}

    load_dotenv(tmp_path / ".env", environment, ignore)

    assert environment["SOURCE_DATABASE_URL"] == url


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_file_that_others_may_read_is_named(tmp_path: Path, mode: int, warned: bool) -> None:
    """A `.env` that other users may read costs one line of warning, and is used all the same."""
    path = tmp_path / ".env"
    path.write_text("STAGE=file\n")
    path.chmod(mode)
    environment: dict[str, str] = {}
    warnings: list[str] = []

    load_dotenv(path, environment, warnings.append)

    expected = f"other users of this machine may read {path}: run `chmod 600 {path}`"
    assert warnings == ([expected] if warned else [])
    assert environment == {"STAGE": "file"}


@pytest.mark.parametrize(
    "body", [b"ONE=s3cret\xff", b"ONE=s3cret\0x", b"\0A=s3cret", b"'A=B'=s3cret"]
)
def test_a_file_that_is_not_text_is_one_clear_line(tmp_path: Path, body: bytes) -> None:
    """A damaged .env is named, without a piece of what is in it."""
    (tmp_path / ".env").write_bytes(body)

    with pytest.raises(SettingsError) as caught:
        load_dotenv(tmp_path / ".env", {}, ignore)

    shown = "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in shown
    assert str(caught.value) == (
        f"{tmp_path / '.env'} cannot be read: make it a text file in UTF-8 that is yours"
    )


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


@pytest.fixture
def other_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A pipeline with two sources, one of which need not be there."""
    declaration = """
from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, latest

item = Table("item", key="id", columns={"id": Integer()})

@latest(key="id")
def kept(item):
    return item

PIPELINE = Pipeline(
    sources=[Postgres("shop", (item,)), Postgres("books", (), optional=True)],
    targets=[PostgresWarehouse("archive", (kept,))],
)
"""
    folder = tmp_path / "corner_shop"
    folder.mkdir()
    (folder / "pipeline.py").write_text(declaration)
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(tmp_path)])
    return folder.name


def test_each_pipeline_has_databases_under_its_own_names(other_pipeline: str) -> None:
    """Which addresses are needed, and what the project is called, follows from the pipeline."""
    settings = Settings.read(
        {
            "PIPELINE": other_pipeline,
            "SHOP_DATABASE_URL": REQUIRED["SOURCE_DATABASE_URL"],
            "BOOKS_DATABASE_URL": REQUIRED["SOURCE_DATABASE_URL"],
            "ARCHIVE_DATABASE_URL": REQUIRED["WAREHOUSE_DATABASE_URL"],
        }
    )
    names = Names(settings.project, settings.stage, "123456789012", "eu-west-2")

    assert (settings.project, list(settings.databases)) == (
        "corner-shop-etl",
        ["shop", "books", "archive"],
    )
    assert {
        name: value
        for name, value in function_environment("reconcile", names, settings).items()
        if name.endswith("SECRET_ID")
    } == {
        "SHOP_SECRET_ID": "corner-shop-etl/dev/shop",
        "BOOKS_SECRET_ID": "corner-shop-etl/dev/books",
        "ARCHIVE_SECRET_ID": "corner-shop-etl/dev/archive",
    }
    with pytest.raises(SettingsError) as caught:
        Settings.read({"PIPELINE": other_pipeline})
    assert caught.value.problems == tuple(
        f"{name}_DATABASE_URL is not set. Example: {name}_DATABASE_URL={EXAMPLE}"
        for name in ("SHOP", "ARCHIVE")
    )


def test_an_optional_source_without_an_address_is_left_out(other_pipeline: str) -> None:
    """It gets no secret, and no function is told of one; everything else goes on."""
    settings = Settings.read(
        {
            "PIPELINE": other_pipeline,
            "SHOP_DATABASE_URL": REQUIRED["SOURCE_DATABASE_URL"],
            "BOOKS_DATABASE_URL": "",
            "ARCHIVE_DATABASE_URL": REQUIRED["WAREHOUSE_DATABASE_URL"],
        }
    )
    names = Names(settings.project, settings.stage, "123456789012", "eu-west-2")

    assert list(settings.databases) == ["shop", "archive"]
    assert [source.name for source in settings.left_out] == ["books"]
    assert "BOOKS_SECRET_ID" not in function_environment("extract", names, settings)


def test_a_pipeline_that_is_not_there_is_one_line() -> None:
    """The line names the pipelines that there are; nothing else is read."""
    [problem] = problems(PIPELINE="totsys", STAGE="no stage")

    assert (
        problem
        == "there is no pipelines/totsys/pipeline.py: PIPELINE may be retail, stripe, totesys"
    )


def test_a_warehouse_that_load_creates_has_to_be_declared(other_pipeline: str) -> None:
    """A table of which nobody says what columns it has is found before anything is deployed."""
    settings = {
        "PIPELINE": other_pipeline,
        "SHOP_DATABASE_URL": REQUIRED["SOURCE_DATABASE_URL"],
        "ARCHIVE_DATABASE_URL": REQUIRED["WAREHOUSE_DATABASE_URL"],
    }
    Settings.read(settings)

    with pytest.raises(SettingsError, match=r"^target table kept cannot be created"):
        Settings.read({**settings, "WAREHOUSE_MANAGED": "true"})
