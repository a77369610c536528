"""Text from outside, made harmless in messages and e-mails.

The names of a source's tables, columns and types are chosen by anybody who may create them there.
"""

import re

MESSAGE_CHARACTERS = 4_000
MAIL_CHARACTERS = 300

# What mail programs show as links: scheme://, www.name, name.tld, who@name, \\server\share. The
# last three characters are also full stops in host names.
_LINKING = re.compile(r"[.:/@。．｡](?=\S)|\\(?=\\)")


def printable(text: str, limit: int = MESSAGE_CHARACTERS) -> str:
    """Return a text as one line of at most `limit` characters.

    Control characters, line breaks, terminal escapes and direction marks are escaped, as in
    `\\x1b`.
    """
    line = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text[: limit + 1]
    )
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def defanged(text: str) -> str:
    """Return a text as one short line in which no mail program sees a link: `evil[.]example`."""
    return printable(_LINKING.sub(r"[\g<0>]", printable(text, MAIL_CHARACTERS)), MAIL_CHARACTERS)


# The same in sentences, in which 12.5 % and orders.csv are left unchanged.
_LINK = re.compile(
    r"[.．。｡](?!(?:csv|err|json|jsonl|ndjson|txt|gz)\b)(?=[^\W\d_])|:(?=//)|@(?=\S)|\\(?=\\)"
)


def unlinked(text: str) -> str:
    """Return a text as one line without links: like `defanged`, for names of files and sentences.

    Decimal points, and the extensions of data files, are left unchanged.
    """
    return printable(_LINK.sub(r"[\g<0>]", printable(text)))
