"""The endpoints of Amazon RDS, by which functions and deployer know a database's region."""

import re

# Of an instance, a cluster or a proxy; not a name of one's own that leads to it.
_HOST = re.compile(
    r"[^.]+\.[^.]+\.((?P<region>[a-z]{2}(-[a-z]+)+-\d)\.rds\.amazonaws\.com"
    r"|rds\.(?P<china>cn-[a-z]+-\d)\.amazonaws\.com\.cn)"
)


def region_of(host: str) -> str | None:
    """Return the region of an endpoint of RDS, None for any other host."""
    found = _HOST.fullmatch(host.lower())
    return found and (found["region"] or found["china"])
