"""The settings by which a deployment follows the rules of an organisation.

Who needs none of them has an account to themselves; docs/accounts.md says what each is for.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deployer.errors import SettingsError

Environment = Mapping[str, str]
Complain = Callable[[str, str, str], None]
"""Takes the name of a setting, what is wrong with it, and an example."""

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
RETENTIONS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
)  # fmt: skip
# The characters that all services allow, and the lengths:
# https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
TAG = re.compile(r"(?P<key>[\w .:/+\-@]{1,128})=(?P<value>[\w .:/=+\-@]{0,256})")
# A resource has at most 50. The deployment sets four on each, one on the topic, two on a function.
OWN_TAGS = (
    "project", "stage", "managed-by", "expires-at", "alert-email", "deployment", "role-id",
)  # fmt: skip
MAX_TAGS = 50 - 6
KMS_KEY = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]{1,64}", re.ASCII)
_KEY_EXAMPLE = "arn:aws:kms:eu-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
FUNCTIONS = (
    "extract", "transform", "load", "reconcile", "page", "receive", "collect", "serve", "lake",
)  # fmt: skip
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/([\w+=,.@-]+/)*[\w+=,.@-]{1,64}", re.ASCII)
ACCOUNTS = re.compile(r"\d{12}([ ,]+\d{12})*", re.ASCII)
BOUNDARY = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]{1,512}", re.ASCII)
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
ROLE_PATH = re.compile(r"/([\w+=,.@-]+/){0,64}", re.ASCII)
MAX_ROLE_PATH = 512


@dataclass(frozen=True)
class Organisation:
    """What an organisation asks of the resources of a deployment.

    `tags` are set beside the deployment's own. Roles are created under `role_path`, limited by the
    policy with the ARN `boundary`. Logs are kept for `log_days`. `reserves_runs` is whether a
    function's concurrency is reserved where the account's limit allows it. `kms_key` is the ARN of
    the key that encrypts everything, None for those of AWS, `proof_key` that of the one that signs
    proofs, None where they are not signed. `roles` are the ARNs of roles of the
    user's, by function.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    boundary: str | None = None
    role_path: str = "/"
    log_days: int = 14
    reserves_runs: bool = True
    kms_key: str | None = None
    proof_key: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)


NO_RULES = Organisation()

# What names something of one account, which another does not have.
OF_ONE_ACCOUNT = (
    "ALLOWED_ACCOUNTS",
    "PERMISSIONS_BOUNDARY",
    "KMS_KEY",
    "PROOF_KEY",
    *(f"{use.upper()}_ROLE_ARN" for use in FUNCTIONS),
)


def problem(name: str, what: str, example: str) -> str:
    """Return the line about a setting that is malformed."""
    return f"{name} {what}. Example: {name}={example}"


def read_organisation(environment: Environment, complain: Complain | None = None) -> Organisation:
    """Return the settings of an organisation; all are optional.

    Raises:
        SettingsError: some are malformed, and there is nobody to `complain` to.
    """
    problems: list[str] = []
    complain = complain or (lambda *said: problems.append(problem(*said)))
    found = Organisation(
        tags=_tags(environment, complain),
        boundary=_boundary(environment, complain),
        role_path=_role_path(environment, complain),
        log_days=_log_days(environment, complain),
        reserves_runs=_reserves_runs(environment, complain),
        kms_key=_key(environment, complain, "KMS_KEY"),
        proof_key=_key(environment, complain, "PROOF_KEY"),
        roles=_roles(environment, complain),
    )
    if problems:
        raise SettingsError(problems)
    return found


def require_allowed(account: str, environment: Environment) -> None:
    """Raise SettingsError if ALLOWED_ACCOUNTS is set, and does not list the account."""
    name, example = "ALLOWED_ACCOUNTS", "123456789012,210987654321"
    problems: list[str] = []
    complain: Complain = lambda *said: problems.append(problem(*said))  # noqa: E731
    allowed = _matching(environment, complain, name, ACCOUNTS, example)
    if allowed and account not in allowed.replace(",", " ").split():
        where = f"does not list account {account}, which the credentials belong to"
        problems.append(f"{name} {where}. Choose another AWS_PROFILE, or add the account.")
    if problems:
        raise SettingsError(problems)


def _role_path(environment: Environment, complain: Complain) -> str:
    path = _matching(environment, complain, "ROLE_PATH", ROLE_PATH, "/teams/data/")
    if len(path) > MAX_ROLE_PATH:
        complain("ROLE_PATH", f"has more than {MAX_ROLE_PATH} characters", "/teams/data/")
    return path or "/"


def _boundary(environment: Environment, complain: Complain) -> str | None:
    example = "arn:aws:iam::123456789012:policy/boundary"
    return _matching(environment, complain, "PERMISSIONS_BOUNDARY", BOUNDARY, example) or None


def _roles(environment: Environment, complain: Complain) -> dict[str, str]:
    """Return the roles of the user's: those of functions whose setting is not empty."""
    example = "arn:aws:iam::123456789012:role/teams/data/load"
    found = {
        use: _matching(environment, complain, f"{use.upper()}_ROLE_ARN", ROLE, example)
        for use in FUNCTIONS
    }
    return {use: arn for use, arn in found.items() if arn}


def _key(environment: Environment, complain: Complain, name: str) -> str | None:
    """Return the ARN of a key; that of an alias would not do for a policy."""
    return _matching(environment, complain, name, KMS_KEY, _KEY_EXAMPLE) or None


def _matching(
    environment: Environment,
    complain: Complain,
    name: str,
    pattern: re.Pattern[str],
    example: str,
) -> str:
    value = environment.get(name, "")
    if value and not pattern.fullmatch(value):
        complain(name, f"is malformed: {value!r}", example)
    return value


def _tags(environment: Environment, complain: Complain) -> dict[str, str]:
    """Return the tags of TAGS; a key may occur once, whatever its case, as IAM demands."""
    found: dict[str, str] = {}
    parts = [part.strip() for part in environment.get("TAGS", "").split(",")]
    for part in filter(None, parts):
        match = TAG.fullmatch(part)
        key, value = (match["key"].strip(), match["value"].strip()) if match else ("", "")
        lowered = key.lower()
        if not key:
            complain("TAGS", f"has a malformed tag: {part!r}", _TAGS_EXAMPLE)
        elif lowered.startswith("aws:") or lowered in OWN_TAGS:
            complain("TAGS", f"has the key {key!r}, which is reserved", _TAGS_EXAMPLE)
        elif lowered in map(str.lower, found):
            complain("TAGS", f"has the key {key!r} twice", _TAGS_EXAMPLE)
        found[key] = value
    if len(found) > MAX_TAGS:
        complain("TAGS", f"has more than {MAX_TAGS} tags", _TAGS_EXAMPLE)
    return found


_TAGS_EXAMPLE = "cost-center=42,owner=data-team"


def _log_days(environment: Environment, complain: Complain) -> int:
    value = environment.get("LOG_RETENTION_DAYS") or str(Organisation.log_days)
    if value not in map(str, RETENTIONS):
        legal = ", ".join(map(str, RETENTIONS))
        complain("LOG_RETENTION_DAYS", f"must be one of {legal}", str(Organisation.log_days))
        return Organisation.log_days
    return int(value)


def _reserves_runs(environment: Environment, complain: Complain) -> bool:
    value = environment.get("RESERVED_CONCURRENCY") or "true"
    if value not in ("true", "false"):
        complain("RESERVED_CONCURRENCY", "must be one of true, false", "true")
    return value == "true"
