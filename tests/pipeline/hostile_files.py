"""Files as they really come, each with its expected outcome, known apart from the product.

Every value has the word `canary` in it where it can, so that one in a log is found.
"""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Row = tuple[str | None, ...]

LONG = "canary " * 300_000  # 2 MB


@dataclass(frozen=True)
class Hostile:
    """A file: the `good` rows of it, its `bad` ones by line, or why it is `refused` whole.

    Of a bad row there is a part of the reason, and the row as it came.
    """

    key: str
    body: bytes
    good: Sequence[Row] = ()
    bad: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    refused: str = ""


def _texts(name: str, body: bytes | str, *rows: Row, **more: object) -> Hostile:
    encoded = body.encode() if isinstance(body, str) else body
    return Hostile(f"texts/{name}.csv", encoded, rows, **more)  # type: ignore[arg-type]


PLAIN = "id,note\n{0} 1,canary\n{0} 2,canary\n"


def _plain(name: str) -> tuple[Row, Row]:
    return (f"{name} 1", "canary"), (f"{name} 2", "canary")


ENCODINGS = [
    _texts("mark", b"\xef\xbb\xbf" + PLAIN.format("mark").encode(), *_plain("mark")),
    _texts("utf-16-le", PLAIN.format("le").encode("utf-16"), *_plain("le")),
    _texts("utf-16-be", b"\xfe\xff" + PLAIN.format("be").encode("utf-16-be"), *_plain("be")),
    _texts("no mark", PLAIN.encode("utf-16-le"), refused="its header is not UTF-8"),
    _texts("half", "\ufeffid,note\nhalf,x".encode("utf-16-le")[:-1], refused="it is not text in"),
    _texts(
        "undeclared",
        "id,note\nundeclared 1,canary\xe9\nundeclared 2,canary\n".encode("cp1252"),
        ("undeclared 2", "canary"),
        bad={2: ("note is not UTF-8", r"undeclared 1,canary\xe9")},
    ),
    _texts(
        "overlong",
        b"id,note\noverlong 1,canary\xc0\xaf\noverlong 2,\xed\xa0\x80\noverlong 3,x\n",
        ("overlong 3", "x"),
        bad={
            2: ("note is not UTF-8", r"overlong 1,canary\xc0\xaf"),
            3: ("note is not UTF-8", r"overlong 2,\xed\xa0\x80"),
        },
    ),
    Hostile(
        "western/declared.csv",
        b"id,note\nwestern 1,caf\xe9 \x80\nwestern 2,\x81canary\n",
        [("western 1", "café €")],
        {3: ("note is not", r"western 2,\x81canary")},
    ),
    Hostile(
        "western/marked.csv", "\ufeffid,note\nmarked,café €\n".encode(), [("marked", "café €")]
    ),
    _texts("sheet", b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0\xff", refused="its header is not UTF-8"),
]

LINES = [
    _texts("cr", PLAIN.format("cr").replace("\n", "\r"), *_plain("cr")),
    _texts("crlf", PLAIN.format("crlf").replace("\n", "\r\n"), *_plain("crlf")),
    _texts(
        "mixed",
        "id,note\r\nmixed 1,a\nmixed 2,b\rmixed 3,c\n\rmixed 4,d",
        *((f"mixed {number}", letter) for number, letter in enumerate("abcd", 1)),
        bad={5: ("it is a blank line", "")},
    ),
    _texts(
        "breaks",
        'id,note\n"breaks 1","canary\nb"\nshort\n"breaks 2","c\r\nd\re"\n,last canary\n',
        ("breaks 1", "canary\nb"),
        ("breaks 2", "c\r\nd\re"),
        bad={4: ("it has 1 value, and the header has 2", "short"), 8: ("no id", ",last canary")},
    ),
    _texts(
        "no breaks",
        "id,note\nno breaks 1,a\x0bb\x0cc\x1cd\x85e\u2028f\nwrong\n",
        ("no breaks 1", "a\x0bb\x0cc\x1cd\x85e\u2028f"),
        bad={3: ("it has 1 value", "wrong")},
    ),
    _texts(
        "blank",
        "id,note\n\nblank 1,a\n   \n\n",
        ("blank 1", "a"),
        bad={
            2: ("it is a blank line", ""),
            4: ("it has 1 value", "   "),
            5: ("it is a blank line", ""),
        },
    ),
    _texts("no end", PLAIN.format("no end").removesuffix("\n"), *_plain("no end")),
    _texts(
        "ragged",
        "id,note\nragged 1\nragged 2,b,canary\nragged 3,c\nragged 4,d,\n",
        ("ragged 3", "c"),
        bad={
            2: ("it has 1 value, and the header has 2", "ragged 1"),
            3: ("it has 3 values, and the header has 2", "ragged 2,b,canary"),
            5: ("it has 3 values, and the header has 2", "ragged 4,d,"),
        },
    ),
]

QUOTES = [
    _texts(
        "unclosed",
        'id,note\nunclosed 1,a\nunclosed 2,"canary\nunclosed 3,c\n',
        ("unclosed 1", "a"),
        ("unclosed 3", "c"),
        bad={3: ("a quote", 'unclosed 2,"canary')},
    ),
    _texts(
        "after quote",
        'id,note\nafter 1,"a"b\nafter 2,a"b"\nafter 3,"a""b"\nafter 4,""\n',
        ("after 1", "ab"),
        ("after 2", 'a"b"'),
        ("after 3", 'a"b'),
        ("after 4", None),
    ),
    Hostile(
        "quoted/all.csv",
        b"id;note\n'q;1';'it''s; NULL'\nq2;NULL\nq3;\nq,4;\"x\nq5\n",
        [("q;1", "it's; NULL"), ("q2", None), ("q3", ""), ("q,4", '"x')],
        {6: ("it has 1 value", "q5")},
    ),
    Hostile(
        "headless/all.csv",
        b"id,note\nh1,canary\nh2\n",
        [("id", "note"), ("h1", "canary")],
        {3: ("it has 1 value, and 2 are declared", "h2")},
    ),
]

HEADERS = [
    _texts("no column", "id,text\nno column,canary\n", refused="its header has no column note"),
    _texts("other case", "ID,Note\nother case,x\n", refused="its header has no column id, note"),
    _texts("tabs", "id\tnote\ntabs\tx\n", refused="its header has no column id, note"),
    _texts("twice", "id,note,note\ntwice,canary,y\n", refused="its header has two columns note"),
    _texts("first blank", "\nid,note\nfirst blank,x\n", refused="its first line is blank"),
    _texts("empty", "", refused="it is empty"),
    _texts("mark alone", b"\xef\xbb\xbf", refused="it is empty"),
    _texts("header alone", "id,note"),
    _texts("unclosed header", 'id,"note\nunclosed header,x\n', refused="a quote"),
    _texts(
        "order",
        '\ufeff"note" , more,id ,,_line,__proto__\ncanary,x,order,,7,y\n',
        ("order", "canary"),
    ),
    _texts(
        "wide",
        f"id,{','.join(f'c{n}' for n in range(3_000))},note\nwide,{'canary,' * 3_000}last\nbad\n",
        ("wide", "last"),
        bad={3: ("it has 1 value, and the header has 3002", "bad")},
    ),
]

CELLS = [
    _texts(
        "cells",
        b"id,note\n007,00\n 8 , x \nnul,canary\0\nctl,\x01\x1b[31m\x7f\n=1+1,@SUM(A1)\n-1,+1\n"
        b"NULL,\\N\n\xf0\x9f\x98\x80,\xe2\x80\xae\n",
        *(("007", "00"), (" 8 ", " x "), ("ctl", "\x01\x1b[31m\x7f"), ("=1+1", "@SUM(A1)")),
        *(("-1", "+1"), ("NULL", "\\N"), ("😀", "\u202e")),
        bad={4: ("note has a NUL character", "nul,canary\0")},
    ),
    _texts("large", f"id,note\nlarge,{LONG}\nlarge 2,x\n", ("large", LONG), ("large 2", "x")),
    _texts("larger", "id,note\nx," + LONG * 5, refused="has more than 8 MB"),
    _texts("again", "id,note\nagain,1\nagain,2\nagain,3\nagain,2\n", ("again", "2")),
    Hostile(
        "lines/all.csv",
        b'line\na\na\n""\n\na\n',
        [("a",)] * 3,
        {4: ("has no line", '""'), 5: ("it is a blank line", "")},
    ),
]

PACKED = gzip.compress(PLAIN.format("gzip").encode())
COMPRESSED = [
    _texts("plain name", PACKED, *_plain("gzip")),
    Hostile("texts/named.csv.gz", gzip.compress(PLAIN.format("gz").encode()), _plain("gz")),
    _texts(
        "members",
        gzip.compress(b"id,note\nmember 1,can") + gzip.compress(b"ary\nmember 2,x\n") + bytes(64),
        ("member 1", "canary"),
        ("member 2", "x"),
    ),
    _texts("cut", PACKED[:-9], refused="it is cut off"),
    _texts("damaged", PACKED[:-8] + bytes(4) + PACKED[-4:], refused="it is damaged"),
    _texts("followed", PACKED + b"canary", refused="it is damaged"),
    _texts("nothing", gzip.compress(b""), refused="it is empty"),
    _texts("twice packed", gzip.compress(PACKED), refused="its header is not UTF-8"),
]

SHARES = [
    Hostile(
        f"strict/{wrong} of 40.csv",
        "".join(
            ["id,note\n", *(f"{wrong}-{n},canary\n" for n in range(40 - wrong)), "canary\n" * wrong]
        ).encode(),
        [(f"{wrong}-{n}", "canary") for n in range(40 - wrong)] if wrong == 2 else [],
        dict.fromkeys(range(42 - wrong, 42), ("it has 1 value", "canary")),
        "" if wrong == 2 else "3 of its 40 rows are refused (7.5%), and at most 5% may be",
    )
    for wrong in (2, 3)
]

CSV_FILES = [
    *(*ENCODINGS, *LINES, *QUOTES, *HEADERS, *CELLS, *COMPRESSED, *SHARES),
]


def _named(key: str, number: int) -> Hostile:
    return Hostile(
        key,
        f"id,note\nnamed {number},canary\ncanary\n".encode(),
        [(f"named {number}", "canary")],
        {3: ("it has 1 value", "canary")},
    )


NAMES = [
    "named/with blanks .csv",
    "named/ .csv",
    "named/'quotes' \"and\" `more`.csv",
    "named/100% %41 %2F%2e%2e%2F.csv",
    "named/ümlaut.csv",
    "named/u\u0308mlaut.csv",
    "named/😀\u202e.csv",
    "named/line\nbreak\t\x7f.csv",
    "named/../up.csv",
    "named/../../errors/texts/mark.csv",
    "named/./same.csv",
    "named//empty//folder.csv",
    "/named/slash.csv",
    "named/back\\slash.csv",
    "named/a+b&c=d?e#f;g:h@i!$*().csv",
    "named/<script>alert(1)</script>.csv",
    "named/-rf --help.csv",
    "named/__proto__",
    "named/constructor",
    "named/no ending",
    "named/UPPER.CSV",
    "named/x.csv.csv",
    "named/" + "deep/" * 190 + "deep.csv",
    "named/" + "n" * 1_018,
    "named/" + "n" * 1_017 + "m",
    "named/" + "ü" * 509,
]
NAMED_FILES = [_named(key, number) for number, key in enumerate(NAMES)]
