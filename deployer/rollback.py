"""The way back to what was deployed before: the functions' code, layers, settings and rights.

Everything else stays as it is: the data, the databases, schedules, alarms, secrets. What is put
back is what `deployer.records` has; nothing is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, get_args

from deployer import records
from deployer.aws import iam, lambda_functions, lambda_layers, s3, s3_objects, secrets
from deployer.aws.account import Account
from deployer.aws.changes import Change
from deployer.aws.lambda_functions import Function
from deployer.configuration.organisation import NO_RULES
from deployer.errors import OperationError, explaining
from deployer.networking import lambda_interfaces
from deployer.operations.batchlog import BatchLog
from deployer.records import Record
from deployer.resources import specs
from deployer.resources.names import BucketUse, FunctionUse, Names
from deployer.resources.policies import CHANGES_OF_NETWORKS, network_rights
from deployer.resources.resource_policies import Policy
from deployer.steps import Report, Step, Steps, concurrently

LOGS: tuple[BucketUse, ...] = ("ingestion", "processed")
# What belongs to the code: what was changed by hand beside it tells no deployment from another.
CODE = frozenset({"code", "Architecture", "Runtime", "Handler", "Layers", "Environment"})
INSTEAD = "Deploy the version that is wanted instead: check it out and run deploy.py."


@dataclass(frozen=True)
class RolledBack:
    """A rollback: its changes, and the times of the deployments that it led from and to.

    `functions` are those that run again as they did.
    `led_from` is None if the deployment that was running had failed.
    """

    changes: list[Change]
    led_from: str | None
    led_to: str
    functions: list[FunctionUse]

    def text(self) -> str:
        """Return what runs now, and what can be done about it."""
        led_from = f"that of {self.led_from}" if self.led_from else "one that had failed"
        return (
            f"Rolled back to the deployment of {self.led_to}, from {led_from}. Data, "
            "schedules, alarms and secrets are as they were; deploy.py deploys what is in this "
            "folder."
        )


class Rollback:
    """Puts the functions of a deployment back to what they were before it."""

    def __init__(self, account: Account, names: Names, report: Report) -> None:
        self.account = account
        self.names = names
        self._report = report
        self._tags = specs.own_tags(names.project, names.stage)

    def roll_back(self) -> RolledBack:
        """Go back to the deployment before; after a rollback, to the one that it led from.

        If what runs is not what the newest record says, a deployment has failed: then to the newest
        record. After an error, running it again continues from there.

        Raises:
            OperationError: there is no way back; nothing was changed.
        """
        with explaining("record of the deployment"):
            target = self._target()
            self._require_readable(target)
            self._require_layers(target)
            self._require_secrets(target)
            self._require_key(target)
            code = self._code(target)
            policies = self._policies(target)
            # Before anything is changed: a rollback that fails half-way is then made again.
            back = records.before(self.account, self.names, target)
            kept = [target, back] if back else [target]
            self.account.write(lambda: records.write(self.account, self.names, kept))
        led_from = target.rolled_back[1] if target.rolled_back else None
        uses = [use for use in get_args(FunctionUse) if self.names.function(use) in code]
        return RolledBack(self._restore(target, code, policies), led_from, target.at, uses)

    def _target(self) -> Record:
        """Return the record to go back to, with the way back from it, which leads to what runs."""
        newest = records.newest(self.account, self.names)
        if newest is None:
            raise OperationError(f"no deployment of {self.names.prefix} is recorded. {INSTEAD}")
        if self._runs(newest):
            back = (records.now(), newest.at)
            return replace(self._before(newest), before=newest.digest, rolled_back=back)
        return newest if newest.rolled_back else replace(newest, rolled_back=(records.now(), None))

    def _before(self, newest: Record) -> Record:
        before = records.before(self.account, self.names, newest)
        if not before:
            raise OperationError(
                f"there is no record of a deployment before that of {newest.at}. {INSTEAD}"
            )
        return before

    def _code(self, target: Record) -> Mapping[str, bytes]:
        code = records.code_of(self.account, self.names, target)
        if code is None:
            raise OperationError(
                f"s3://{self.names.bucket('code')}/{records.FOLDER}{target.code}.zip is not the "
                f"code that was deployed at {target.at}, or it is gone. {INSTEAD}"
            )
        return code

    def _runs(self, record: Record) -> bool:
        """Return whether the functions have the code of a record, and what belongs to it."""
        looking = replace(self.account, planning=True)
        changes = [
            lambda_functions.ensure_function(looking, "", self._function(record, name, b""))
            for name in record.functions
        ]
        return not any(CODE & change.differences.keys() for change in changes)

    def _require_readable(self, target: Record) -> None:
        """Raise OperationError if a log has a form that the target's code cannot read."""
        for use in LOGS:
            bucket = self.names.bucket(use)
            for prefix in s3_objects.folders(self.account, bucket, "batches/"):
                log = BatchLog(self.account.clients.s3, bucket, prefix)
                form = (log.newest_document() or {}).get("form", 1)
                if form > target.log_form:
                    raise OperationError(
                        f"s3://{bucket}/{prefix} has form {form}, and the code that was deployed "
                        f"at {target.at} reads up to {target.log_form}: it would misread what was "
                        "written since. Correct the newer code and deploy that; or remove "
                        "everything (teardown.py) and deploy the older code, which then reads "
                        "the sources again."
                    )

    def _require_layers(self, target: Record) -> None:
        for arn in sorted(target.layers):
            if not lambda_layers.version_exists(self.account, arn):
                raise OperationError(f"layer version {arn} is gone. {INSTEAD}")

    def _require_secrets(self, target: Record) -> None:
        """Raise OperationError if a secret is gone; those of others may not be looked at."""
        ours = self.names.secret("")
        for name in sorted(each for each in target.secrets if each.startswith(ours)):
            if not secrets.is_readable(self.account, name):
                raise OperationError(f"secret {name} is gone. {INSTEAD}")

    def _require_key(self, target: Record) -> None:
        """Raise OperationError if data is encrypted by a key that the target's roles cannot use."""
        used = s3.encryption_key(self.account, self.names.bucket("processed"))
        if used not in (None, *(each["kms_key"] for each in target.functions.values())):
            raise OperationError(
                f"what is in the buckets is encrypted by {used}, which the functions that were "
                f"deployed at {target.at} have no right to. {INSTEAD}"
            )

    def _policies(self, target: Record) -> dict[str, Policy]:
        """Return the rights of each function whose role is the deployment's own.

        With those to the network that it leaves: Lambda removes its interfaces by them, later, and
        the next deployment takes them away once no interface is left.
        """
        uses = {self.names.function(use): use for use in get_args(FunctionUse)}
        policies = {}
        for name, function in target.functions.items():
            if policy := function["policy"]:
                leaves = function["network"] is None and self._has_rights_to_network(function)
                if leaves and (self._interfaces or lambda_functions.in_network(self.account, name)):
                    added = network_rights(uses[name], self.names)
                    policy = {**policy, "Statement": [*policy["Statement"], *added]}
                policies[name] = policy
        return policies

    def _has_rights_to_network(self, function: Mapping[str, Any]) -> bool:
        role = function["role_arn"].rpartition("/")[2]
        return iam.allows(self.account, role, CHANGES_OF_NETWORKS[0])

    @cached_property
    def _interfaces(self) -> list[str]:
        return lambda_interfaces(self.account, self.names)

    def _restore(
        self, target: Record, code: Mapping[str, bytes], policies: Mapping[str, Policy]
    ) -> list[Change]:
        steps = Steps(self.account, self.names, self._tags, self._report, NO_RULES)
        return concurrently(
            *(self._chain(steps, target, name, code[name], policies.get(name)) for name in code)
        )

    def _chain(
        self, steps: Steps, target: Record, name: str, code: bytes, policy: Policy | None
    ) -> list[Step]:
        """Return the steps for a function: its rights first, which its code may need."""
        function = self._function(target, name, code)
        role = function.role_arn.rpartition("/")[2]
        arns = {self.names.function(u): self.names.function_arn(u) for u in get_args(FunctionUse)}
        rights = partial(steps.take, "role", role, iam.ensure_policy, role, policy or {})
        return [
            *([rights] if policy else []),
            partial(
                steps.take, "function", name, lambda_functions.ensure_function, arns[name], function
            ),
        ]

    def _function(self, record: Record, name: str, code: bytes) -> Function:
        role = record.functions[name]["role_arn"].rpartition("/")[2]
        role_id = iam.role_id(self.account, role)
        if role_id is None:
            raise OperationError(f"role {role} of function {name} is gone. {INSTEAD}")
        return record.function(name, code, role_id, self._tags)
