"""The addresses of the user's own databases: from where other users cannot read them."""

import io
import sys
from pathlib import Path

import pytest

from deployer.errors import SettingsError
from deployer.terminal import Terminal
from local.addresses import read_address

URL = "postgresql://reader:s3cret@db.example.com/totesys"
EXAMPLE = "postgresql://user:password@host:5432/database"


def read(given: str | None, **environment: str) -> str | None:
    return read_address("--source-url", given, "SOURCE_DATABASE_URL", environment, Terminal())


def test_a_setting_is_used_only_if_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """A `.env` with the addresses of production does not connect the sandbox to it by surprise."""
    assert read(None, SOURCE_DATABASE_URL=URL) is None
    assert capsys.readouterr().err == (
        "SOURCE_DATABASE_URL is not used: --source-url env would use it\n"
    )
    assert read("env", SOURCE_DATABASE_URL=URL) == URL
    assert read(None) is None
    assert capsys.readouterr().err == ""


def test_an_address_comes_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`@FILE` reads the first line of a file, and warns when others may read it too."""
    path = tmp_path / "source url"
    path.write_text(f"{URL}\n")
    path.chmod(0o600)

    assert read(f"@{path}") == URL
    assert capsys.readouterr().err == ""
    path.chmod(0o644)
    assert read(f"@{path}") == URL
    assert (
        capsys.readouterr().err.split()
        == (f"other users of this machine can read {path}: run `chmod 600 '{path}'`").split()
    )


def test_addresses_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads a line; the next option that asks for it reads the next one."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{URL}\n{URL}-2\n"))

    assert (read("-"), read("-")) == (URL, f"{URL}-2")


def test_a_person_is_asked_without_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal `-` asks, and what is typed is not shown."""
    prompts = []

    class Keyboard(io.StringIO):
        def isatty(self) -> bool:
            return True

    def typed(prompt: str) -> str:
        prompts.append(prompt)
        return URL

    monkeypatch.setattr(sys, "stdin", Keyboard())
    monkeypatch.setattr("getpass.getpass", typed)

    assert (read("-"), prompts) == (URL, ["--source-url (not shown): "])


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        (URL, True),
        ("postgresql://reader@localhost/totesys", False),
        ("postgresql://reader:@localhost/totesys", False),
        ("postgresql://reader:s3[cret@localhost/totesys", False),
    ],
)
def test_a_password_in_the_list_of_processes_is_named(
    url: str, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A URL as an argument works, and says what is wrong with it if it holds a password."""
    assert read(url) == url
    expected = (
        "every user of this machine can read the password in --source-url: use --source-url env, "
        "--source-url @FILE or --source-url - instead"
    )
    assert capsys.readouterr().err.split() == (expected.split() if warned else [])


@pytest.mark.parametrize(
    ("given", "where"),
    [("env", "SOURCE_DATABASE_URL"), ("-", "-"), ("@/dev/null", "@/dev/null")],
)
def test_a_place_without_an_address_is_named(
    given: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is found is one clear line, before anything is started."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))

    with pytest.raises(SettingsError) as error:
        read(given)
    assert str(error.value) == f"--source-url finds no URL in {where}. Example: {EXAMPLE}"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The file and the reason are named; nothing of what is in it is."""
    (tmp_path / "binary").write_bytes(b"s3cret\xff\n")

    for name, reason in (("none", "No such file or directory"), ("binary", "not UTF-8")):
        with pytest.raises(SettingsError) as error:
            read(f"@{tmp_path}/{name}")
        assert str(error.value) == f"--source-url: {tmp_path}/{name} cannot be read ({reason})"
