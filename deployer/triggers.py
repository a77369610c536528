"""What invokes the functions, as steps: rules on a schedule, and new objects of a bucket."""

from functools import partial

from deployer.aws import s3_notifications, schedules
from deployer.aws.changes import Change
from deployer.aws.lambda_permissions import Permission
from deployer.resources.names import BucketUse, FunctionUse, RuleUse
from deployer.steps import Step, Steps


class Triggers:
    """The steps by which functions are invoked; the functions must exist when these are taken."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._names = steps.names

    def on_schedule(self, use: RuleUse, function: FunctionUse, schedule: str) -> list[Step]:
        """Return the steps that invoke a function on a schedule."""
        return [
            partial(self.create_rule, use, schedule),
            partial(self.create_rule_permission, use, function),
            partial(self.create_target, use, function),
        ]

    def on_new_objects(
        self, bucket: BucketUse, function: FunctionUse, prefix: str = ""
    ) -> list[Step]:
        """Return the steps that invoke a function for each new object of a bucket."""
        return [
            partial(self.create_bucket_permission, bucket, function),
            partial(self.create_bucket_notification, bucket, function, prefix),
        ]

    def create_rule(self, use: RuleUse, schedule: str) -> Change:
        """Create a rule that fires on a schedule."""
        name, arn, tags = self._names.rule(use), self._names.rule_arn(use), self._steps.tags
        return self._steps.take("rule", name, schedules.ensure_rule, name, arn, schedule, tags)

    def create_rule_permission(self, use: RuleUse, function: FunctionUse) -> Change:
        """Let a rule invoke a function."""
        return self._create_permission(
            function, f"rule-{use}", "events.amazonaws.com", self._names.rule_arn(use)
        )

    def create_target(self, use: RuleUse, function: FunctionUse) -> Change:
        """Set a function as the target of a rule."""
        rule, arn = self._names.rule(use), self._names.function_arn(function)
        return self._steps.take("target", rule, schedules.ensure_target, rule, arn)

    def create_bucket_permission(self, bucket: BucketUse, function: FunctionUse) -> Change:
        """Let a bucket invoke a function."""
        return self._create_permission(
            function, f"bucket-{bucket}", "s3.amazonaws.com", self._names.bucket_arn(bucket)
        )

    def create_bucket_notification(
        self, bucket: BucketUse, function: FunctionUse, prefix: str
    ) -> Change:
        """Let each new object under a prefix of a bucket invoke a function."""
        notification = s3_notifications.Notification(
            id=self._names.function(function),
            bucket=self._names.bucket(bucket),
            prefix=prefix,
            function_arn=self._names.function_arn(function),
        )
        ensure = s3_notifications.ensure_notification
        return self._steps.take("notification", notification.bucket, ensure, notification)

    def _create_permission(
        self, use: FunctionUse, statement: str, service: str, source: str
    ) -> Change:
        function = self._names.function(use)
        return self._steps.create_permission(Permission(function, statement, service, source))
