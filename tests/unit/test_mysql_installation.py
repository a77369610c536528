"""Which MySQL or MariaDB the sandbox runs: an installed one, the system's packages, or none."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from local.mysql import installation as installations
from local.mysql import packages
from local.mysql.installation import (
    Installation,
    MysqlError,
    describe,
    find_installation,
    reachable_installation,
)
from local.mysql.packages import FetchError, fetch_mariadb
from local.system_account import SystemAccount

MARIADB = "mariadbd  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)"
MYSQL = "/usr/sbin/mysqld  Ver 8.0.44-0ubuntu0.24.04.1 for Linux on x86_64 ((Ubuntu))"
OURSELVES = SystemAccount(None, None)


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A system that has no server in any of its usual places, and no packages."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(installations, "FOLDERS", ())
    monkeypatch.setattr(packages, "TOOLS", ("no-such-tool",))


@pytest.mark.parametrize(
    ("says", "product", "version"),
    [(MARIADB, "MariaDB", (10, 11)), (MYSQL, "MySQL", (8, 0))],
)
def test_a_server_says_what_it_is(
    tmp_path: Path, says: str, product: str, version: tuple[int, int]
) -> None:
    """Whatever its program is called: MariaDB also has one called mysqld."""
    found = describe(program(tmp_path / "sbin" / "mysqld", says))

    assert (found.product, found.version, found.base) == (product, version, tmp_path)


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        ("mysqld  Ver 5.7.44 for Linux", "is MySQL 5.7"),
        ("mariadbd  Ver 10.5.29-MariaDB", "is MariaDB 10.5"),
        ("PostgreSQL 18", "does not say that it is MySQL or MariaDB"),
    ],
)
def test_what_is_too_old_or_another_is_refused(tmp_path: Path, says: str, problem: str) -> None:
    """MySQL 8.0 and MariaDB 10.6 are the oldest that a warehouse may be."""
    path = program(tmp_path / "mysqld", says)

    with pytest.raises(MysqlError) as error:
        describe(path)
    assert str(error.value) == f"{path} {problem}"


def test_an_old_server_is_passed_over(nothing_installed: None, tmp_path: Path) -> None:
    """The next one that is new enough is taken."""
    program(tmp_path / "bin" / "mariadbd", "mariadbd  Ver 10.3.1-MariaDB")
    newer = program(tmp_path / "bin" / "mysqld", MYSQL)

    assert find_installation().program == newer


def test_where_there_is_none_the_next_step_is_named(nothing_installed: None) -> None:
    """One line says what to install, or which option to give."""
    with pytest.raises(MysqlError) as error:
        find_installation()
    assert str(error.value) == (
        "No MySQL 8.0 or MariaDB 10.6, or later, was found: install one (macOS: brew install "
        "mariadb; Fedora: dnf install mariadb-server), or name your own with --warehouse-url."
    )


def test_a_confined_server_is_run_from_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ubuntu's AppArmor keeps /usr/sbin/mysqld to its own data; a copy may have ours."""
    original = program(tmp_path / "sbin" / "mysqld", MYSQL)
    monkeypatch.setattr(installations, "APPARMOR", tmp_path / "apparmor.d")
    free = reachable_installation(describe(original), tmp_path / "home", OURSELVES)
    profile = tmp_path / "apparmor.d" / str(original).strip("/").replace("/", ".")
    profile.parent.mkdir()
    profile.write_text("")

    copy = reachable_installation(describe(original), tmp_path / "home", OURSELVES)

    assert free.program == original
    assert copy.program == tmp_path / "home" / "programs-sbin" / "mysqld"
    assert (copy.program.read_text(), copy.base) == (original.read_text(), tmp_path)


def test_a_server_that_its_account_cannot_reach_is_copied(tmp_path: Path) -> None:
    """Root's folders stay closed: all that came with the server is copied to where it may run."""

    class Stranger(SystemAccount):
        def can_reach(self, path: Path) -> bool:
            return False

    original = program(tmp_path / "usr" / "sbin" / "mysqld", MYSQL)
    program(tmp_path / "usr" / "bin" / "mysql", "a client")

    copy = reachable_installation(describe(original), tmp_path / "home", Stranger(None, None))

    assert copy.base == tmp_path / "home" / "programs-usr"
    assert (copy.program, copy.client) == (
        copy.base / "sbin" / "mysqld",
        copy.base / "bin" / "mysql",
    )


Answer = Callable[[str], tuple[int, str]]
INSTALLED = (
    "Inst liburing2 (2.3-3 Debian [amd64])\nInst mariadb-server-core (1:10.11 Debian)\nConf x"
)


class Apt:
    """Stands for apt-get: `answers` by the command; a package is a file that it downloads."""

    def __init__(self, **answers: tuple[int, str]) -> None:
        self.answers: Mapping[str, tuple[int, str]] = answers
        self.asked: list[str] = []

    def __call__(self, scratch: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        own = "own " if any("Dir::State" in each for each in arguments) else ""
        verb = next(each for each in arguments if each in {"update", "install", "download"})
        self.asked.append(f"{own}{verb} {' '.join(arguments[arguments.index(verb) + 1 :])}".strip())
        status, text = self.answers.get(f"{own}{verb}".replace(" ", "_"), (0, ""))
        if verb == "download" and status == 0:
            for name in arguments[arguments.index(verb) + 1 :]:
                (scratch / f"{name}.deb").touch()
        return subprocess.CompletedProcess([], status, text if status == 0 else "", text)


@pytest.fixture
def fetched_by(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Apt], list[str]]:
    """Return a function that fetches MariaDB by an apt-get, and returns what was unpacked."""
    unpacked: list[str] = []

    def unpack(packages: list[Path], folder: Path) -> None:
        unpacked.extend(package.stem for package in packages)
        folder.mkdir()

    def fetch(apt: Apt) -> list[str]:
        monkeypatch.setattr(packages, "_apt", apt)
        folder = fetch_mariadb(tmp_path)
        assert folder is not None
        assert folder.parent == tmp_path / ".build"
        return unpacked

    monkeypatch.setattr(packages, "_unpack", unpack)
    monkeypatch.setattr(packages, "TOOLS", ())
    return fetch


def test_what_the_system_lacks_is_fetched_once(fetched_by: Callable[[Apt], list[str]]) -> None:
    """Libraries that are installed are not; the second start takes what the first unpacked."""
    apt = Apt(install=(0, INSTALLED))

    assert fetched_by(apt) == ["liburing2", "mariadb-server-core"]
    assert fetched_by(apt) == ["liburing2", "mariadb-server-core"]
    assert apt.asked == [
        "install mariadb-server-core mariadb-client-core",
        "download liburing2 mariadb-server-core",
    ]


def test_lists_that_are_missing_or_old_are_read_again(
    fetched_by: Callable[[Apt], list[str]],
) -> None:
    """Into a folder of ours: the system's are root's, and empty in a container."""
    apt = Apt(install=(0, INSTALLED), download=(100, "E: 404"), own_install=(0, INSTALLED))

    assert fetched_by(apt) == ["liburing2", "mariadb-server-core"]
    assert apt.asked[-3:] == [
        "own update",
        "own install mariadb-server-core mariadb-client-core",
        "own download liburing2 mariadb-server-core",
    ]


def test_a_release_with_versions_in_the_names_of_packages(
    fetched_by: Callable[[Apt], list[str]],
) -> None:
    """Ubuntu 22.04 has no package of the plain name."""
    asked: list[str] = []

    class Jammy(Apt):
        def __call__(self, scratch: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
            self.answers = {
                "install": (0, INSTALLED) if "mariadb-server-core-10.6" in arguments else (100, "")
            }
            asked.extend(arguments)
            return super().__call__(scratch, *arguments)

    assert fetched_by(Jammy()) == ["liburing2", "mariadb-server-core"]
    assert "update" not in asked


def test_what_apt_says_is_passed_on(fetched_by: Callable[[Apt], list[str]]) -> None:
    """Its last line is the reason, the next step follows, and nothing half-made is left."""
    nowhere = (100, "E: some\nE: Unable to locate package mariadb-server-core\n")

    with pytest.raises(FetchError) as error:
        fetched_by(Apt(install=nowhere, own_install=nowhere))
    assert str(error.value) == (
        "MariaDB cannot be fetched by apt-get (E: Unable to locate package mariadb-server-core): "
        "install mariadb-server, or name a MySQL of your own with --warehouse-url."
    )


def test_a_system_without_apt_has_no_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is fetched, and nothing is made."""
    monkeypatch.setattr(packages, "TOOLS", ("no-such-tool",))

    assert fetch_mariadb(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_libraries_of_an_unpacked_server_are_found(tmp_path: Path) -> None:
    """Those beside it; an installed one has those of the system."""
    (tmp_path / "lib" / "x86_64-linux-gnu").mkdir(parents=True)
    (tmp_path / "lib" / "mysql" / "private").mkdir(parents=True)

    beside = Installation(tmp_path / "sbin" / "mysqld", tmp_path, (8, 0), is_mariadb=False)
    installed = Installation(Path("/usr/sbin/mysqld"), Path("/usr"), (8, 0), is_mariadb=False)

    assert [each.name for each in beside.libraries] == ["x86_64-linux-gnu", "private"]
    assert installed.libraries == []
