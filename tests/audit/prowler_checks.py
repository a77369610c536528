"""Run prowler's checks of the services that a deployment uses; print what fails as JSON.

It runs in the auditors' environment, without this repository. Prowler's own command line imports
the libraries of every cloud, some of which are source packages: its checks are run by its API.

Usage: python prowler_checks.py REGION SERVICE...
"""

import importlib
import json
import logging
import sys

from prowler.lib.check.utils import recover_checks_from_service
from prowler.providers.aws.aws_provider import AwsProvider
from prowler.providers.common.models import Audit_Metadata
from prowler.providers.common.provider import Provider


def main(region: str, services: list[str]) -> None:
    """Print the checks that ran, those that could not, and the failures, each with its resource."""
    logging.disable(logging.CRITICAL)
    failures, broken = [], []
    names = sorted(recover_checks_from_service(services, "aws"))
    provider = AwsProvider(regions={region})
    provider.audit_metadata = Audit_Metadata(
        services_scanned=0, expected_checks=names, completed_checks=0, audit_progress=0
    )
    Provider.set_global_provider(provider)
    for name in names:
        service = name.partition("_")[0]
        try:
            module = importlib.import_module(
                f"prowler.providers.aws.services.{service}.{name}.{name}"
            )
            found = getattr(module, name)().execute()
        except Exception as error:  # whichever, it is reported as a finding
            broken.append([name, type(error).__name__])
            continue
        failures += [[name, each.resource_id] for each in found if each.status == "FAIL"]
    json.dump({"checks": len(names), "broken": broken, "failures": failures}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
