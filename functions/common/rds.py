"""Amazon RDS: the authorities that sign its servers' certificates, and passwords made by IAM.

`rds_authorities/<region>.pem` has the authorities of a region, which no system trusts by itself.
AWS publishes them as https://truststore.pki.rds.amazonaws.com/<region>/<region>-bundle.pem: a file
for another region has that name. They are valid until 2061 at least.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import boto3

from etl.rds import region_of
from functions.common.settings import required


def authorities(host: str) -> Path | None:
    """Return the PEM file of the authorities for a host; None if it is not of RDS, or unknown."""
    region = region_of(host)
    path = Path(__file__).parent / "rds_authorities" / f"{region}.pem"
    return path if region and path.is_file() else None


def token(host: str, port: int, username: str) -> str:
    """Return the password by which an account logs in for the next 15 minutes.

    It is signed with the credentials of the function's role, without a call.
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
    """
    client = _client(region_of(host) or required(os.environ, "AWS_REGION"))
    made = client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=username)
    return str(made)


@cache
def _client(region: str) -> Any:  # the types of rds are not installed
    return boto3.client("rds", region_name=region)
