"""The pipeline's page, which the function `page` writes: a link for a browser, or a local copy."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from botocore.exceptions import ClientError

from deployer.aws.account import Account
from deployer.aws.changes import error_code
from deployer.errors import OperationError, explaining
from deployer.resources.names import Names

KEY = "page/index.html"
LINK_SECONDS = 3600
COPY = Path(".build") / "page"
PRIVATE = 0o600


@dataclass(frozen=True)
class Page:
    """Where the page is: the object, a `url` that a browser can open, and when it was written.

    `seconds` is how long the URL is valid, None for a file on this machine.
    """

    object: str
    url: str
    made_at: datetime
    seconds: int | None


def find_page(account: Account, names: Names) -> Page:
    """Return where the page of a deployment is.

    A browser cannot sign requests to an emulator, so its page is copied to a file.

    Raises:
        OperationError: there is no page yet.
    """
    bucket = names.bucket("processed")
    where = f"s3://{bucket}/{KEY}"
    with explaining(where):
        try:
            found = account.clients.s3.head_object(Bucket=bucket, Key=KEY)
        except ClientError as error:
            if error_code(error) in ("404", "NoSuchBucket"):
                raise OperationError(
                    f"{where} does not exist: the page is written after a batch has been loaded. "
                    "`python deploy.py run` loads one."
                ) from error
            raise
    made_at = found["LastModified"]
    if account.is_local:
        copy = save_page(account, names, COPY / f"{names.prefix}.html")
        return Page(where, copy.as_uri(), made_at, None)
    asked = {"Bucket": bucket, "Key": KEY}
    url = account.clients.s3.generate_presigned_url("get_object", asked, LINK_SECONDS)
    return Page(where, url, made_at, LINK_SECONDS)


def save_page(account: Account, names: Names, path: Path) -> Path:
    """Write the page to a file that only this user can read; return its absolute path."""
    with explaining(f"s3://{names.bucket('processed')}/{KEY}"):
        found = account.clients.s3.get_object(Bucket=names.bucket("processed"), Key=KEY)
        body = found["Body"].read()
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
        file.write(body)
    return path
