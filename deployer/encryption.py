"""The keys that encrypt a deployment, and sign its proofs: checked before anything is made.

They are the user's: they are neither created nor changed nor removed here.
"""

from deployer.aws import kms, s3
from deployer.aws.account import Account
from deployer.errors import SettingsError, explaining
from deployer.resources import keys
from deployer.resources.names import Names


def check_key(account: Account, key: str | None, names: Names) -> None:
    """Read the key of the settings, its policy, and the key by which data is encrypted so far.

    Raises:
        SettingsError: the key cannot be used as it is, or data could no longer be read; a line for
            each problem.
    """
    problems = []
    bucket = names.bucket("processed")
    with explaining(f"bucket {bucket}"):
        former = s3.encryption_key(account, bucket)
    if former not in (None, key):
        problems.append(
            f"KMS_KEY: what is in the buckets is encrypted by {former}, which the functions could "
            f"no longer use. Set KMS_KEY={former}, or remove the deployment first."
        )
    if key:
        with explaining(f"key {key}"):
            problems += _problems(account, key, names)
    if problems:
        raise SettingsError(problems)


def check_proof_key(account: Account, key: str | None, names: Names) -> None:
    """Read the key that signs proofs.

    Raises:
        SettingsError: it cannot sign them.
    """
    if key is None:
        return
    with explaining(f"key {key}"):
        problems = [*keys.problems_of_signing(key, kms.describe_key(account, key), names)]
    if problems:
        raise SettingsError(problems)


def _problems(account: Account, key: str, names: Names) -> list[str]:
    if problems := [*keys.problems(key, kms.describe_key(account, key), names)]:
        return problems
    policy = kms.key_policy(account, key)
    return [*keys.problems_of_policy(policy, key, names)] if policy else []
