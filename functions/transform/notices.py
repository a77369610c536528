"""The notices of a file's second and third step: it is checked, its refused rows are written."""

from collections.abc import Iterator

from functions.common.accounts import FileAccount
from functions.common.manifests import ProcessedManifest
from functions.common.notices import Notice, by_file, in_words, step
from functions.common.text import unlinked


def step_notices(manifest: ProcessedManifest, bucket: str) -> Iterator[Notice]:
    """Yield the notices of each file of a batch; `bucket` is the one with the refused rows."""
    newest = {each.file.key: each for each in manifest.files}
    for files in by_file(manifest.files):
        yield step(2, "checked", files, map(_checked, files))
        written = (_refused(each, bucket, newest[each.file.key]) for each in files)
        yield step(3, "wrote what is refused of", files, written)


def _checked(account: FileAccount) -> str:
    name = unlinked(account.file.key)
    if account.reason is not None:
        return f"{name}: refused, nothing of it will be loaded: {unlinked(account.reason)}"
    return f"{name}: {in_words(account)}"


def _refused(account: FileAccount, bucket: str, newest: FileAccount) -> str:
    name = unlinked(account.file.key)
    if account.refused and account is not newest:
        return f"{name}: nothing, as a newer version of it is in this batch."
    if account.errors is None:
        return f"{name}: no row is refused, so there is nothing to write."
    return f"{name}: the refused rows and why: s3://{bucket}/{unlinked(account.errors)}"
