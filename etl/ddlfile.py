"""The statements of a file of DDL, by the tables that they create."""

import re
from pathlib import Path

from etl.errors import DeclarationError
from etl.targets import Target


class DdlFile:
    """A file whose statements begin with CREATE TABLE and end on a line that begins with `)`.

    `quote` is the quote of its SQL identifiers. Names after CREATE TABLE and REFERENCES have no
    schema.
    """

    def __init__(self, file: Path, quote: str) -> None:
        self._file = file
        self._quote = quote
        self._name = rf"(\w+|{quote}(?:[^{quote}]|{quote}{quote})+{quote})"

    def statements(self, target: Target, schema: str) -> dict[str, str]:
        """Return its statements, with the schemas of a target's tables added to their names.

        A table without a schema is in `schema`. Raises DeclarationError for a table that the file
        lacks.
        """
        if not self._file.is_file():
            raise DeclarationError(
                f"target {target.name}: there is no file {self._file.name}: write it"
            )
        homes = {table.name: table.schema or schema for table in target.made}
        if target.calendar:
            homes[target.calendar.name] = schema
        statements = self._with_homes(homes, schema)
        for name in homes:
            if name not in statements:
                raise DeclarationError(
                    f"{self._file.name} has no CREATE TABLE {name} (…): write it"
                )
        return statements

    def _with_homes(self, homes: dict[str, str], schema: str) -> dict[str, str]:
        def at_home(named: re.Match[str]) -> str:
            home = homes.get(self._plain(named[2]), schema)
            return f"{named[1]} {quoted(home, self._quote)}.{named[2]}"

        tables = re.compile(
            rf"^CREATE TABLE {self._name} \(.*?^\)[^;\n]*;?", re.DOTALL | re.MULTILINE
        )
        return {
            self._plain(table[1]): re.sub(
                rf"(CREATE TABLE|REFERENCES) {self._name}", at_home, table[0]
            )
            for table in tables.finditer(self._file.read_text())
        }

    def _plain(self, name: str) -> str:
        """Return the name of a SQL identifier, without quotes."""
        quote = self._quote
        return name.removeprefix(quote).removesuffix(quote).replace(2 * quote, quote)


def quoted(name: str, quote: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return quote + name.replace(quote, 2 * quote) + quote
