"""Files in a bucket as a source: the keys of each table's files, and their formats."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from etl.errors import DeclarationError
from etl.settings import Setting, period
from etl.tables import Table

_ONE_CHARACTER = re.compile(r"[^\r\n]")
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,16}")


@dataclass(frozen=True)
class Csv:
    """CSV (RFC 4180), with a `header` or in the order of the columns.

    A value that is one of `nulls` is NULL. A byte order mark is skipped; that of UTF-8 or UTF-16
    overrides `encoding`.
    """

    delimiter: str = ","
    header: bool = True
    encoding: str = "utf-8"
    quote: str = '"'
    nulls: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        """Raise DeclarationError for invalid options."""
        for what, character in (("delimiter", self.delimiter), ("quote", self.quote)):
            if not (_ONE_CHARACTER.fullmatch(character) and character.isascii()):
                raise DeclarationError(f"Csv: its {what} is one character of ASCII")
        if self.delimiter == self.quote:
            raise DeclarationError("Csv: its delimiter and its quote are the same character")
        if isinstance(self.nulls, str):  # each character of it would be NULL
            raise DeclarationError('Csv: its nulls are several texts: write ("", "NA")')
        try:
            "a".encode(self.encoding)  # some codecs are not of text
        except LookupError:
            raise DeclarationError(f"Csv: there is no encoding {self.encoding}") from None


@dataclass(frozen=True)
class JsonDocuments:
    """JSON objects, one a line or all in one array; their fields are the columns."""


Format = Csv | JsonDocuments


@dataclass(frozen=True)
class RefusedRow:
    """A refused row of a CSV file, as an `ErrorReport` gets it.

    `number` counts rows from 1, the header included: one with line breaks in quotes is one row, and
    so is a blank line. `values` are in the order of the file, the valid ones normalized, the others
    as they came. `wrong` has those that are not valid, by column, in the order of the declaration;
    it is empty for a row that cannot be separated into values. `reason` is all that is wrong, in
    words.
    """

    number: int
    values: Sequence[str]
    wrong: Mapping[str, str]
    reason: str


@dataclass(frozen=True)
class ErrorReport:
    """Another format for the refused rows of a file, in `errors/<table>/<file><ending>`.

    `lines` returns the lines of one row; the name of the file is without its `.csv`.
    """

    ending: str
    lines: Callable[[RefusedRow], Iterable[str]]


@dataclass(frozen=True)
class Feed:
    """The files of one table: those whose keys match a `pattern`, compressed by gzip or not.

    In a pattern `*` stands for any characters but a slash, `**` for any at all, `?` for one. A key
    also matches with `.gz` after it. A feed that is `optional` is not waited for where files belong
    together. A file is refused whole if more than the share `max_rejects` of its rows is refused;
    None is the setting MAX_REJECTS. Refused rows are written as CSV unless there is a `report`.

    A table whose target tables are all `replace` equals the newest file; of any other the files
    are read one after the other, in the order in which they came into the bucket.
    """

    table: Table
    pattern: str
    format: Format = Csv()
    optional: bool = False
    max_rejects: float | None = None
    report: ErrorReport | None = None

    def __post_init__(self) -> None:
        """Raise DeclarationError for an invalid pattern or share."""
        if not self.pattern or self.pattern.startswith("/"):
            raise DeclarationError(
                f"{self.table}: give the keys of its files as a pattern, as in Feed(orders, "
                '"orders/*.csv")'
            )
        if not isinstance(self.format, Csv | JsonDocuments):
            raise DeclarationError(f"{self.table}: write its format as Csv(…) or JsonDocuments()")
        if self.report is not None and not isinstance(self.format, Csv):
            raise DeclarationError(f"{self.table}: a report is of rows of CSV: leave it out")
        if self.report is not None and not _ENDING.fullmatch(self.report.ending):
            raise DeclarationError(f'{self.table}: the ending of its report is like ".err"')
        if self.max_rejects is not None and not 0 <= self.max_rejects <= 1:
            raise DeclarationError(f"{self.table}: max_rejects is a share between 0 and 1")
        if any(self.table.all_references()):
            raise DeclarationError(
                f"{self.table}: rows of files refer to no others: join the tables in a model"
            )

    def fits(self, key: str) -> bool:
        """Return whether a key, without the source's prefix, matches the pattern."""
        return bool(_expression(self.pattern).fullmatch(key.removesuffix(".gz"))) or bool(
            _expression(self.pattern).fullmatch(key)
        )


def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/?|\*|\?)", pattern)
    meaning = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts), re.DOTALL)


def is_period(setting: object) -> bool:
    """Return whether a setting has a time as its default."""
    return isinstance(setting, Setting) and period(setting.default) is not None


@dataclass(frozen=True)
class Files:
    """Files in the pipeline's own drop bucket, or if `remote`, in a bucket that others own.

    A remote bucket is only read. It is named by the setting `<NAME>_BUCKET`, which may be
    accompanied by `<NAME>_PREFIX` (the keys below it count) and `<NAME>_REGION`.

    The feeds may belong `together`: then a batch has all of them or none. It is made when there is
    something new of each, or of some and for the time `settle` nothing has come. With `at_most` no
    batch is made sooner than that setting says after the one before: with `1 day`, not on the same
    day (UTC). One that is `optional` is left out while its setting is empty.
    """

    kind: ClassVar[str] = "files"

    name: str
    feeds: tuple[Feed, ...]
    remote: bool = False
    together: bool = False
    settle: timedelta = timedelta(seconds=30)
    at_most: Setting | None = None
    optional: bool = False

    def __post_init__(self) -> None:
        """Raise DeclarationError for times of another type, and for two feeds with a pattern."""
        if not isinstance(self.settle, timedelta):
            raise DeclarationError(f"source {self.name}: write its settle as timedelta(seconds=30)")
        if self.at_most is not None and not is_period(self.at_most):
            raise DeclarationError(
                f'source {self.name}: write its at_most as at_most("{self.name.upper()}_AT_MOST")'
            )
        patterns = [feed.pattern for feed in self.feeds if isinstance(feed, Feed)]
        for pattern in patterns:
            if patterns.count(pattern) > 1:
                raise DeclarationError(
                    f"source {self.name}: two feeds have the pattern {pattern}, and a file is of "
                    "one table"
                )

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables, each of one feed."""
        return tuple(feed.table for feed in self.feeds)

    @property
    def bucket_setting(self) -> str:
        """The name of the variable with the bucket; the pipeline's own is set by the deployer."""
        return f"{self.name.upper()}_BUCKET" if self.remote else "DROP_BUCKET"

    @property
    def prefix_setting(self) -> str:
        """The name of the setting with the prefix of a remote bucket."""
        return f"{self.name.upper()}_PREFIX"

    @property
    def region_setting(self) -> str:
        """The name of the setting with the region of a remote bucket; without it, our own."""
        return f"{self.name.upper()}_REGION"

    def feed(self, table: Table) -> Feed:
        """Return the feed of a table."""
        return next(feed for feed in self.feeds if feed.table is table)
