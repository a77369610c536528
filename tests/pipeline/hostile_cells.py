"""Values and JSON documents as they really come, each with its expected outcome."""

import csv
import gzip
import io
import json
from collections.abc import Sequence

from tests.pipeline.hostile_files import LONG, Hostile, Row

COLUMNS = [
    *("id", "whole", "amount", "long", "free", "ratio"),
    *("day", "clock", "moment", "flag", "mark", "more"),
]

DIGITS = "1234567890" * 4
BIG = "9" * 200 + "." + "1" * 200
UUID = "123e4567-e89b-12d3-a456-426614174000"

GOOD = [
    *((("whole", "7", "7")), ("whole", " 7\t", "7"), ("whole", "+007", "7"), ("whole", "-0", "0")),
    *(("whole", "-2147483648", "-2147483648"), ("whole", "", None)),
    *(("amount", "1.5", "1.50"), ("amount", "1.50000", "1.50"), ("amount", ".5", "0.50")),
    *(("amount", "5.", "5.00"), ("amount", "1e5", "100000.00"), ("amount", "-0.00", "0.00")),
    *(("amount", "9999999999.99", "9999999999.99"), ("amount", "12E-2", "0.12")),
    *(("long", DIGITS, DIGITS), ("long", f"-{DIGITS}.000", f"-{DIGITS}"), ("long", "0e9", "0")),
    *(("free", "1.10", "1.10"), ("free", BIG, BIG), ("free", "1e131071", "1" + 131_071 * "0")),
    *(("ratio", "1e5", "100000"), ("ratio", "NaN", "NaN"), ("ratio", "0.1", "0.1")),
    *(("day", "2024-02-29", "2024-02-29"), ("day", " 0001-01-01", "0001-01-01")),
    *(("day", "9999-12-31", "9999-12-31"), ("clock", "23:59:59.5", "23:59:59.5")),
    ("moment", "2026-01-01 01:00:00+02:00", "2025-12-31 23:00:00+00"),
    ("moment", "2026-06-30T12:00:00.123456Z", "2026-06-30 12:00:00.123456+00"),
    *(("flag", "TRUE", "true"), ("flag", "no", "false"), ("flag", "1", "true")),
    *(("mark", UUID.upper(), UUID), ("mark", UUID.replace("-", ""), UUID)),
    *(("more", '{"b": [1.10], "a": null}', '{"a": null, "b": [1.10]}'), ("more", "7", "7")),
]
BAD = [
    *(("whole", text, "is not a whole number") for text in ("1e5", "1.0", "1,000", "1_000")),
    *(("whole", text, "is not a whole number") for text in ("٣", "0x10", "−5", "7\n", " ", "NaN")),
    *(("whole", text, "is out of the range") for text in ("2147483648", "9" * 5_000)),
    *(("amount", text, "is not a number") for text in ("NaN", "-Infinity", "--1", "$5", "1 2")),
    *(
        ("amount", text, "has more than 2 digits after")
        for text in ("1.005", "1e-400", "1e-999999999")
    ),
    *(
        ("amount", text, "has more than 10 digits before")
        for text in ("12345678901", "1e999999999")
    ),
    *(
        ("long", DIGITS + "1", "has more than 40 digits"),
        ("long", DIGITS + ".5", "has more than 0 digits"),
    ),
    *(
        ("free", "1e131072", "has more than 131,072"),
        ("free", "1e999999999", "has more than 131,072"),
    ),
    *(("free", "1e9999999999", "is not a number"), ("free", "1e-16384", "has more than 16,383")),
    *(("ratio", "1e400", "has no exact form"), ("ratio", "1,5", "is not a number")),
    *(("day", text, "is not a date") for text in ("2026-02-29", "2026-13-01", "20260101")),
    *(("day", text, "is not a date") for text in ("01/02/2026", "0000-01-01", "2026-1-1")),
    *(("day", text, "is not a date") for text in ("2026-W01-1", "2026-01-01 00:00", "٢٠٢٦-01-01")),
    *(("clock", "24:00:00", "is not a time of day"), ("clock", "12h", "is not a time of day")),
    *(("moment", f"2026-06-30 {text}", "is not a time stamp") for text in ("12:00", "24:00:00Z")),
    *(("moment", f"2026-06-30 {text}", "is not a time stamp") for text in ("23:59:60Z", "+00")),
    *(("flag", "2", "is neither true nor false"), ("flag", "tru", "is neither true nor false")),
    *(("mark", UUID[1:], "is not a UUID"), ("more", "{'a': 1}", "is not valid JSON")),
    *(("more", '{"a": 1, "a": 2}', "is not valid JSON"), ("more", "NaN", "is not valid JSON")),
    *(("more", r'"\u0000"', "is not valid JSON"), ("more", r'"\ud800"', "is not valid JSON")),
    ("more", "[" * 100_000 + "]" * 100_000, "is not valid JSON"),
]


def _typed() -> Hostile:
    """Return a file with a row for each value, and one with all that can be wrong."""
    lines, good, bad, at = io.StringIO(newline=""), [], {}, 2
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(COLUMNS)
    cases = [*GOOD, *((name, text, None) for name, text, _ in BAD)]
    reasons = [*(len(GOOD) * [None]), *(reason for *_, reason in BAD)]
    for number, ((name, text, stored), reason) in enumerate(zip(cases, reasons, strict=True)):
        row = {"id": f"{name} {number}", name: text}
        raw = io.StringIO(newline="")
        csv.writer(raw, lineterminator="\n").writerow([row.get(each, "") for each in COLUMNS])
        lines.write(raw.getvalue())
        if reason is None:
            good.append(tuple({**row, name: stored}.get(each) for each in COLUMNS))
        else:
            bad[at] = (f"{name} {reason}", raw.getvalue().removesuffix("\n"))
        at += 1 + text.count("\n")
    return Hostile("typed/values.csv", lines.getvalue().encode(), good, bad)


WRONG = ("has no id", "whole is not a whole number: 'canary'", "amount is not a number: 'canary'")
SEVERAL = Hostile(
    "typed/several.csv",
    f"{','.join(COLUMNS)}\n,canary,canary,,,,,,,,,\n".encode(),
    bad={2: ("; ".join(WRONG), ",canary,canary,,,,,,,,,")},
)


def _json(name: str, body: bytes | str, *rows: Row, **more: object) -> Hostile:
    encoded = body.encode() if isinstance(body, str) else body
    return Hostile(f"documents/{name}.json", encoded, rows, **more)  # type: ignore[arg-type]


def _line(text: str, why: str) -> tuple[str, str]:
    return text, why


DEEP = "[" * 100_000 + "]" * 100_000
BAD_LINES = [
    ('{"id": "canary", "id": "x"}', "two fields id"),
    ('{"id": "canary", "more": {"a": 1, "a": 1}}', "two fields a"),
    ('{"id": "canary", "amount": NaN}', "NaN"),
    ('{"id": "canary", "amount": -Infinity}', "Infinity"),
    ('{"id": 7, "note": "canary"}', "id is a number and not a text"),
    ('{"id": "canary", "note": true}', "note is true or false and not a text"),
    ('{"id": "canary", "note": ["x"], "whole": {}}', "whole is an object; note is a list"),
    ('{"id": "canary", "note": "\\u0000"}', "note has a NUL character"),
    ('{"id": "canary", "note": "\\ud800"}', "note is not UTF-8"),
    ('{"id": "canary", "more": ' + DEEP + "}", "nested too deeply"),
    ('{"id": "canary",}', "it is not JSON"),
    ("{'id': 'canary'}", "it is not JSON"),
    ('{"id": "canary"} {}', "it is not JSON"),
    ('{"id": "canary"', "it is not JSON"),
    ('{"id": "canary\t"}', "it is not JSON"),
    ("", "it is a blank line"),
    ("7", "it is not an object"),
    ("null", "it is not an object"),
    ('["canary"]', "it is not an object"),
    ("// canary", "it is not JSON"),
    ('{"note": "canary"}', "has no id"),
    ('{"id": null, "note": "canary"}', "has no id"),
    ('{"id": "canary", "whole": 1e5}', "whole is not a whole number"),
    ('{"id": "canary", "whole": 12345678901}', "whole is out of the range"),
    ('{"id": "canary", "whole": ' + "9" * 5_000 + "}", "whole is out of the range"),
    ('{"id": "canary", "amount": 1.005}', "digits after the point"),
    ('{"id": "canary", "amount": 1e999999999}', "digits before the point"),
    ('{"id": "canary", "amount": true}', "amount is not a number"),
]
GOOD_LINES: list[tuple[str, Row]] = [
    ('{"id": "exact", "amount": 25000.10}', ("exact", None, "25000.10", None, None)),
    ('{"whole": "7", "id": "text", "amount": "1e2"}', ("text", "7", "100.00", None, None)),
    (
        '{"id": "nested", "more": {"a": [1.10, 1e400, true, {"b": null}]}}',
        ("nested", None, None, None, '{"a": [1.10, 1e400, true, {"b": null}]}'),
    ),
    (
        '{"id": "names", "__proto__": {"id": 1}, "_line": 9, "": 0, "note": "\\ud83d\\ude00é"}',
        ("names", None, None, "😀é", None),
    ),
    ('  {"id": "blanks", "note": ""}  ', ("blanks", None, None, "", None)),
    (json.dumps({"id": "long", "note": LONG}), ("long", None, None, LONG, None)),
    (
        '{"id": "separators", "note": "a\u2028\x85"}',
        ("separators", None, None, "a\u2028\x85", None),
    ),
]


def _lines() -> Hostile:
    """Return a file in which each document has a line, good ones and bad ones in turn."""
    texts = [text for text, _ in BAD_LINES] + [text for text, _ in GOOD_LINES]
    return _json(
        "lines",
        "\r\n".join(texts),
        *(row for _, row in GOOD_LINES),
        bad={line: (why, text) for line, (text, why) in enumerate(BAD_LINES, 1)},
    )


def _ids(*ids: str) -> Sequence[Row]:
    return [(each, None, None, None, None) for each in ids]


ARRAYS = [
    _json(
        "array",
        '\ufeff[\n{"id": "array 1"},\r\n\r\n{"id":\n"array 2"}]',
        *_ids("array 1", "array 2"),
    ),
    _json("packed", gzip.compress(b'[{"id": "packed"}]'), *_ids("packed")),
    _json("utf-16", '{"id": "utf-16"}\n'.encode("utf-16"), *_ids("utf-16")),
    _json("nothing", " [ ] "),
    _json("empty", "", refused="it is empty"),
    _json("blank", " \n", refused="it is empty"),
    _json(
        "mixed",
        '[{"id": "mixed"},\n7,\n{"id": "canary", "id": 1},\n{"id": "x", "note": NaN}]',
        *_ids("mixed"),
        bad={
            2: ("it is not an object", "7"),
            3: ("two fields id", '{"id": "canary", "id": 1}'),
            4: ("NaN", '{"id": "x", "note": NaN}'),
        },
    ),
    _json("comma", '[{"id": "comma", "note": "canary"},]', refused="it is not JSON from line 1"),
    _json("cut", '[{"id": "cut"},\n{"id": "canary', refused="it is not JSON from line 2"),
    _json(
        "object",
        '{"id": "object",\n"note": "canary"}',
        bad={1: ("not JSON", '{"id": "object",'), 2: ("not JSON", '"note": "canary"}')},
    ),
    _json("deep", "[" * 1_000_000, refused="nested too deeply"),
    _json("more", '[{"id": "more"}]\n[{"id": "canary"}]', refused="it is not JSON from line 2"),
    _json("large", '[{"id": "' + LONG * 5, refused="has more than 8 MB"),
    _json("text", b"\xff\xfe\0", refused="it is"),
    _json(
        "latin",
        b'{"id": "caf\xe9"}\n{"id": "ok"}\n',
        *_ids("ok"),
        bad={1: ("id is not UTF-8", r'{"id": "caf\xe9"}')},
    ),
]

TYPED_FILES = [_typed(), SEVERAL]
JSON_FILES = [_lines(), *ARRAYS]
