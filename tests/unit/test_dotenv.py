"""The file `.env`: what is read from it, and how its faults are reported."""

import traceback
from pathlib import Path

import pytest

from deployer.configuration.dotenv_file import load_dotenv
from deployer.errors import SettingsError


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

    expected = f"other users of this machine can read {path}: run `chmod 600 {path}`"
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
        f"{tmp_path / '.env'} cannot be read: make it a UTF-8 text file that you own"
    )
