"""The kinds of sources that a pipeline may have."""

from dataclasses import dataclass
from typing import ClassVar

from etl.events import Events
from etl.files import Files
from etl.tables import Table


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL database that may only be read, whose URL is the setting `<NAME>_DATABASE_URL`.

    `ignore` are names of tables that are not worth a word when they appear in one of its schemas.
    One that is `optional` is left out while its setting is empty.
    """

    kind: ClassVar[str] = "postgres"

    name: str
    tables: tuple[Table, ...]
    ignore: tuple[str, ...] = ()
    optional: bool = False

    @property
    def setting(self) -> str:
        """The name of the setting with its URL."""
        return f"{self.name.upper()}_DATABASE_URL"

    @property
    def secret_setting(self) -> str:
        """The name of the functions' variable with the id of the secret that holds its address."""
        return f"{self.name.upper()}_SECRET_ID"


Source = Postgres | Files | Events
