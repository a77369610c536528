"""The daily notice of whether source and warehouse agree."""

from collections.abc import Mapping

from functions.common.text import defanged
from functions.reconcile.comparison import Comparison


def notice(tables: Mapping[str, Comparison]) -> str:
    """Return the text of a notice: one line for each target table."""
    return "\n".join(f"{name:<24}{_verdict(found)}" for name, found in sorted(tables.items()))


def _verdict(found: Comparison) -> str:
    if found.error is not None:
        return defanged(found.error)
    counts = {
        "missing": found.missing,
        "different": found.different,
        "extra": found.extra,
        "pending": found.pending,
        "deleted in the source": found.deleted,
        "in quarantine": found.quarantined,
    }
    apart = [f"{rows:,} {what}" for what, rows in counts.items() if rows]
    verdict = ", ".join([f"{found.warehouse:,} rows", *apart])
    return f"{verdict} ({found.note})" if found.note else verdict
