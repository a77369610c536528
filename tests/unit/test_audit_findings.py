"""What `make audit` makes of findings: each has a reason on the page, and each reason a finding."""

from tests.audit.findings import PAGE, Finding, compare, explained

LISTED = [Finding("prowler", "s3_bucket_object_lock", "*-code"), Finding("parliament", "A_*", "*")]
FOUND = [
    Finding("prowler", "s3_bucket_object_lock", "shop-code"),
    Finding("parliament", "A_B", "x"),
]


def test_what_is_explained_is_no_problem() -> None:
    """`*` stands for any text, in names and in findings."""
    assert list(compare(FOUND, LISTED)) == []


def test_a_finding_that_is_not_explained_is_named() -> None:
    """Of another resource, another kind or another auditor."""
    others = [
        Finding("prowler", "s3_bucket_object_lock", "shop-drop"),
        Finding("prowler", "s3_bucket_public_access", "shop-code"),
        Finding("zizmor", "A_B", "x"),
    ]

    assert list(compare([*FOUND, *others], LISTED)) == [
        f"not explained in docs/audit.md: {each.text()}" for each in others
    ]


def test_an_explanation_without_a_finding_is_to_be_removed() -> None:
    """What was corrected may not come back unnoticed."""
    assert list(compare(FOUND[:1], LISTED)) == [
        "no longer found, to be removed from docs/audit.md: parliament A_*: *"
    ]


def test_each_row_of_the_page_is_read() -> None:
    """A row that is malformed would explain nothing."""
    text = PAGE.read_text()
    rows = [line for line in text.splitlines() if line.startswith(("| par", "| pro", "| ziz"))]

    assert len(explained(text)) == len(set(rows)) > 30
    assert explained("| prowler | `check` | `*` | |") == []
