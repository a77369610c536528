"""The SQL of a pipeline: one statement, in which names such as `:day` stand for values."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from etl.errors import DeclarationError

# Tokens of PostgreSQL, such as quoted texts and comments, and MySQL's quoted names.
# https://www.postgresql.org/docs/current/sql-syntax-lexical.html
_PIECE = re.compile(
    r"""
    (?P<escaped> (?<![\w$]) [eE]'(?:[^'\\]|''|\\.)*' )
    | (?P<text> '(?:[^']|'')*' )
    | (?P<name> "(?:[^"]|"")*" | `(?:[^`]|``)*` )
    | (?P<dollar> (?<![\w$]) \$(?P<tag>(?:[^\W\d]\w*)?)\$ .*? \$(?P=tag)\$ )
    | (?P<line> --[^\n]* )
    | (?P<block> /\* )
    | (?P<end> ; )
    | (?P<parameter> (?<![\w:)\]"]) :(?P<of>[^\W\d]\w*) )
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(r"/\*|\*/")


@dataclass(frozen=True)
class Statement:
    """One SQL statement, as pieces of SQL and the names of `parameters` between them.

    The names are at the odd places of `pieces`.
    """

    pieces: tuple[str, ...]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names that stand for values."""
        return self.pieces[1::2]

    def with_values(self, value: Callable[[str], str]) -> str:
        """Return the SQL with each name replaced by the literal that `value` returns for it."""
        return "".join(
            value(piece) if number % 2 else piece for number, piece in enumerate(self.pieces)
        )


def parsed(sql: str) -> Statement:
    """Return a statement, without the semicolon at its end.

    Quoted text and comments are left as they are, and so are casts (`::date`) and slices
    (`parts[low:high]`). Raises DeclarationError for more than one statement.
    """
    pieces = [""]
    start, ended = 0, False
    for kind, name, first, last in _special(sql):
        if ended and kind != "comment":
            raise _several()
        before = sql[start:first]
        if ended and before.strip():
            raise _several()
        pieces[-1] += before
        start = last
        if kind == "parameter":
            pieces += [name, ""]
        elif kind == "end":
            ended = True
        else:
            pieces[-1] += sql[first:last]
    if ended and sql[start:].strip():
        raise _several()
    pieces[-1] += sql[start:]
    return Statement(tuple(pieces))


def statement_of(part: object, sql: str, folder: Path) -> Statement:
    """Return the statement of a part of a pipeline: `sql`, or the content of that file.

    Raises DeclarationError, which names the part, for a missing file, and as `parsed`.
    """
    if sql.endswith(".sql"):
        file = folder / sql
        if not file.is_file():
            raise DeclarationError(f"{part}: there is no file {sql}: write it")
        sql = file.read_text()
    try:
        return parsed(sql)
    except DeclarationError as error:
        raise DeclarationError(f"{part}: {error}") from None


def without_values(part: object, sql: str, folder: Path) -> Statement:
    """Return the statement of a part, which may have no parameters; raises as above."""
    statement = statement_of(part, sql, folder)
    if statement.parameters:
        raise DeclarationError(
            f"{part}: :{statement.parameters[0]} stands for nothing: it has no values"
        )
    return statement


def _several() -> DeclarationError:
    return DeclarationError("it has more than one statement: write one SELECT")


def _special(sql: str) -> Iterator[tuple[str, str, int, int]]:
    """Yield quoted texts, comments, parameters and semicolons: kind, name, start and end."""
    at = 0
    while found := _PIECE.search(sql, at):
        at = _end_of_block(sql, found.end()) if found["block"] else found.end()
        if found["block"] or found["line"]:
            kind = "comment"
        else:
            kind = next((kind for kind in ("parameter", "end") if found[kind]), "quoted")
        yield kind, found["of"] or "", found.start(), at


def _end_of_block(sql: str, at: int) -> int:
    """Return the end of a comment, in which others may be nested."""
    depth = 1
    while depth and (found := _BLOCK.search(sql, at)):
        depth += 1 if found[0] == "/*" else -1
        at = found.end()
    return len(sql) if depth else at
