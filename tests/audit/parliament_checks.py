"""Examine policies with parliament; print its findings as JSON.

It runs in the auditors' environment, without this repository.

Usage: python parliament_checks.py < POLICIES, a JSON document {name: policy}
"""

import json
import sys

from parliament import analyze_policy_string


def main() -> None:
    """Print each finding as the kind of it and the name of the policy."""
    found = [
        [finding.issue, name]
        for name, policy in json.load(sys.stdin).items()
        for finding in analyze_policy_string(json.dumps(policy)).findings
    ]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
