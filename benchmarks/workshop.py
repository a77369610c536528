"""The environment of every subject: server, local AWS, scratch folder, the peers' Python."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.databases import Database, Databases
from benchmarks.lake import Lake
from local.emulator import Emulator
from local.postgres import PostgresServer


@dataclass(frozen=True)
class Workshop:
    """Databases and AWS, up while the context lasts, and a folder that is gone afterwards."""

    databases: Databases
    aws: Emulator
    scratch: Path

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Lend an empty folder."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as name:
            yield Path(name)

    @contextmanager
    def lake(self, source: Database | None, **settings: str) -> Iterator[Lake]:
        """Lend a lake on a source, and remove it."""
        made = Lake(self.aws, self.databases, source, settings)
        try:
            yield made
        finally:
            made.remove()


@contextmanager
def workshop() -> Iterator[Workshop]:
    """Start everything; stop it and remove all files at the end, whatever happened."""
    with tempfile.TemporaryDirectory(prefix="benchmarks ") as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root the server runs as nobody, who has to get in
        with PostgresServer(folder / "postgres") as server, Emulator(folder / "aws") as aws:
            reach_only(aws)
            scratch = folder / "scratch"
            scratch.mkdir()
            yield Workshop(Databases(server), aws, scratch)


def reach_only(aws: Emulator) -> None:
    """Let boto3 in this process reach one local AWS and nothing else."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(aws.environment)
