"""Findings of auditors, and the list of those that docs/audit.md explains."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "audit.md"
ROW = re.compile(r"\| (parliament|prowler|zizmor) \| `([^`]+)` \| `([^`]+)` \| (\S.*) \|")


@dataclass(frozen=True, order=True)
class Finding:
    """What an auditor found where; as an explained one, the latter two are patterns."""

    auditor: str
    check: str
    where: str

    def explains(self, other: "Finding") -> bool:
        """Return whether this is the explanation of another one."""
        matches = fnmatchcase(other.check, self.check) and fnmatchcase(other.where, self.where)
        return self.auditor == other.auditor and matches

    def text(self) -> str:
        """Return it for a person."""
        return f"{self.auditor} {self.check}: {self.where}"


def explained(text: str) -> list[Finding]:
    """Return the findings of the page; each has a reason."""
    return [
        Finding(*match.groups()[:3]) for match in map(ROW.fullmatch, text.splitlines()) if match
    ]


def compare(found: Iterable[Finding], listed: Iterable[Finding]) -> Iterator[str]:
    """Yield a line for each finding that is not listed, and each listed one that is gone."""
    found, listed = sorted(set(found)), list(listed)
    for finding in found:
        if not any(each.explains(finding) for each in listed):
            yield f"not explained in docs/audit.md: {finding.text()}"
    for each in listed:
        if not any(each.explains(finding) for finding in found):
            yield f"no longer found, to be removed from docs/audit.md: {each.text()}"
