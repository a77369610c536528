"""Names and words of others, made harmless for whoever reads them: in a message or in an e-mail.

What a source calls its tables, columns and types is chosen by whoever may create them there.
"""

import re

MESSAGE_CHARACTERS = 4_000
MAIL_CHARACTERS = 300

# Where mail programs see a link or an address: scheme://, www.name, name.tld, who@name,
# \\server\share. The last three are full stops too, in names of hosts.
_LINKING = re.compile(r"[.:/@。．｡](?=\S)|\\(?=\\)")


def printable(text: str, limit: int = MESSAGE_CHARACTERS) -> str:
    """Return a text as one line of at most `limit` characters.

    Control characters, line breaks, terminal escapes and characters that change the direction of
    the text become visible, as in `\\x1b`.
    """
    line = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text[: limit + 1]
    )
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def defanged(text: str) -> str:
    """Return a text as one short line in which no mail program sees a link: `evil[.]example`."""
    return printable(_LINKING.sub(r"[\g<0>]", printable(text, MAIL_CHARACTERS)), MAIL_CHARACTERS)


# The same in running text, in which 12.5 % and orders.csv are to stay as they are.
_LINK = re.compile(
    r"[.．。｡](?!(?:csv|err|json|jsonl|ndjson|txt|gz)\b)(?=[^\W\d_])|:(?=//)|@(?=\S)|\\(?=\\)"
)


def unlinked(text: str) -> str:
    """Return a text as one line without links: like `defanged`, for names of files and sentences.

    A number with a point in it, and the ending of a file of data, are as they were.
    """
    return printable(_LINK.sub(r"[\g<0>]", printable(text)))
