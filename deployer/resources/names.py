"""Every name and ARN of a deployment, derived from project, stage, account and region.

Nothing here calls AWS: a resource may not exist yet.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from deployer.configuration.organisation import Organisation, read_organisation
from deployer.configuration.settings import Settings, read_names

BucketUse = Literal["ingestion", "processed", "code", "drop"]
FunctionUse = Literal[
    "extract", "transform", "load", "reconcile", "page", "receive", "collect", "serve", "lake"
]
RuleUse = Literal[
    "extract-schedule",
    "transform-sweep",
    "load-schedule",
    "reconcile-schedule",
    "page-sweep",
    "lake-schedule",
]
LAKE_RULE: RuleUse = "lake-schedule"  # of deployments with Iceberg tables

# https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html
MAX_BUCKET = 63
MAX_ROLE = 64
MAX_FUNCTION = 64
MAX_RULE = 64
MAX_QUEUE = 80
MAX_API = 128
MAX_LAYER = 140
MAX_TOPIC = 256
MAX_ALARM = 255
MAX_DATABASE = 255
MAX_DASHBOARD = 255


# Of regions outside the commercial ones, by the beginning of the region's name:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
PARTITIONS = {"us-gov-": "aws-us-gov", "cn-": "aws-cn"}


def partition_of(region: str) -> str:
    """Return the partition that a region is in, as ARNs name it."""
    found = (name for prefix, name in PARTITIONS.items() if region.startswith(prefix))
    return next(found, "aws")


def fit(stem: str, ending: str, limit: int) -> str:
    """Join stem and ending; a stem that is too long is truncated, with a hash to keep it unique."""
    if len(stem) + len(ending) <= limit:
        return stem + ending
    digest = hashlib.sha256(stem.encode()).hexdigest()[:8]
    return f"{stem[: limit - len(ending) - 9].rstrip('-')}-{digest}{ending}"


@dataclass(frozen=True)
class Names:
    """The names of one deployment; its roles are under the path `role_path`.

    `roles` are pairs of a function and the ARN of a role of the user's that it runs as.
    """

    project: str
    stage: str
    account: str
    region: str
    role_path: str = "/"
    roles: tuple[tuple[FunctionUse, str], ...] = ()

    @classmethod
    def of(cls, settings: Settings, account: str, region: str) -> "Names":
        """Return the names of the deployment that settings describe."""
        rules = settings.organisation
        return cls(settings.project, settings.stage, account, region, *_of_roles(rules))

    @classmethod
    def read(cls, environment: Mapping[str, str], account: str, region: str) -> "Names":
        """Return the names by the few settings that decide them; raise SettingsError as they do."""
        rules = read_organisation(environment)
        return cls(*read_names(environment), account, region, *_of_roles(rules))

    @property
    def prefix(self) -> str:
        """Return the prefix of names that are unique in an account and region."""
        return f"{self.project}-{self.stage}"

    @property
    def partition(self) -> str:
        """Return the partition of the region, as ARNs name it."""
        return partition_of(self.region)

    @property
    def domain(self) -> str:
        """Return the domain of AWS's endpoints in the region."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    def bucket(self, use: BucketUse) -> str:
        """Return the name of a bucket, which is globally unique."""
        return fit(f"{self.prefix}-{self.account}-{self.region}", f"-{use}", MAX_BUCKET)

    def bucket_arn(self, use: BucketUse) -> str:
        """Return the ARN of a bucket."""
        return f"arn:{self.partition}:s3:::{self.bucket(use)}"

    def secret(self, database: str) -> str:
        """Return the name of the secret of a source or a target."""
        return f"{self.project}/{self.stage}/{database}"

    def secret_arn(self, database: str) -> str:
        """Return the ARN as a policy names it: AWS appends six random characters."""
        return self._arn("secretsmanager", f"secret:{self.secret(database)}-??????")

    @property
    def secrets_arn(self) -> str:
        """Return the ARNs of all secrets of the deployment, as a policy names them."""
        return self._arn("secretsmanager", f"secret:{self.secret('*')}")

    def function(self, use: FunctionUse) -> str:
        """Return the name of a function."""
        return fit(self.prefix, f"-{use}", MAX_FUNCTION)

    def function_arn(self, use: FunctionUse) -> str:
        """Return the ARN of a function."""
        return self._arn("lambda", f"function:{self.function(use)}")

    def role(self, use: FunctionUse) -> str:
        """Return the name of a function's role, with the region because IAM is global."""
        if existing := self.existing_roles.get(use):
            return existing.rpartition("/")[2]
        return self.own_role(use)

    def own_role(self, use: FunctionUse) -> str:
        """Return the name of the role that a deployment creates for a function without another."""
        return fit(f"{self.prefix}-{self.region}", f"-{use}", MAX_ROLE)

    def role_arn(self, use: FunctionUse) -> str:
        """Return the ARN of a function's role."""
        return self.existing_roles.get(use) or self.arn_of_role(self.role(use))

    @property
    def existing_roles(self) -> dict[FunctionUse, str]:
        """Return the ARNs of roles of the user's, by function."""
        return dict(self.roles)

    def arn_of_role(self, name: str) -> str:
        """Return the ARN of a role that is created here."""
        return f"arn:{self.partition}:iam::{self.account}:role{self.role_path}{name}"

    @property
    def github_role(self) -> str:
        """Return the name of the role that GitHub deploys as; the deployer's own rights end there.

        It begins unlike the roles of functions, which who deploys may change.
        """
        return fit(f"github-{self.prefix}-{self.region}", "-deploys", MAX_ROLE)

    def log_group(self, use: FunctionUse) -> str:
        """Return the log group that Lambda writes to by default."""
        return f"/aws/lambda/{self.function(use)}"

    def log_group_arn(self, use: FunctionUse) -> str:
        """Return the ARN of a log group, without its streams."""
        return self._arn("logs", f"log-group:{self.log_group(use)}")

    def layer(self, layer: str) -> str:
        """Return the name of a layer."""
        return fit(self.prefix, f"-{layer}", MAX_LAYER)

    def layer_arn(self, layer: str) -> str:
        """Return the ARN of a layer, without a version."""
        return self._arn("lambda", f"layer:{self.layer(layer)}")

    def rule(self, use: RuleUse) -> str:
        """Return the name of a rule."""
        return fit(self.prefix, f"-{use}", MAX_RULE)

    def rule_arn(self, use: RuleUse) -> str:
        """Return the ARN of a rule."""
        return self._arn("events", f"rule/{self.rule(use)}")

    @property
    def queue(self) -> str:
        """Return the name of the queue of events that functions failed to process."""
        return fit(self.prefix, "-failed-events", MAX_QUEUE)

    @property
    def queue_arn(self) -> str:
        """Return the ARN of that queue."""
        return self._arn("sqs", self.queue)

    @property
    def events_queue(self) -> str:
        """Return the name of the queue of events that were received."""
        return fit(self.prefix, "-events", MAX_QUEUE)

    @property
    def events_queue_arn(self) -> str:
        """Return the ARN of that queue."""
        return self._arn("sqs", self.events_queue)

    @property
    def events_queue_url(self) -> str:
        """Return the URL of that queue, by which SQS is called."""
        return f"https://sqs.{self.region}.{self.domain}/{self.account}/{self.events_queue}"

    @property
    def dead_queue(self) -> str:
        """Return the name of the dead-letter queue of events that could not be collected."""
        return fit(self.prefix, "-dead-events", MAX_QUEUE)

    @property
    def dead_queue_arn(self) -> str:
        """Return the ARN of that queue."""
        return self._arn("sqs", self.dead_queue)

    @property
    def api(self) -> str:
        """Return the name of the HTTP API that events are posted to."""
        return fit(self.prefix, "-events", MAX_API)

    def api_arn(self, api_id: str) -> str:
        """Return the ARN of all routes of an API, as they invoke functions."""
        return self._arn("execute-api", f"{api_id}/*")

    @property
    def access_log_group(self) -> str:
        """Return the log group of the API's requests.

        Under /aws/vendedlogs/ no resource policy grows with each API:
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
        """
        return f"/aws/vendedlogs/{self.api}"

    @property
    def access_log_group_arn(self) -> str:
        """Return the ARN of that log group."""
        return self._arn("logs", f"log-group:{self.access_log_group}")

    @property
    def reports_api(self) -> str:
        """Return the name of the HTTP API of reports."""
        return fit(self.prefix, "-reports", MAX_API)

    @property
    def reports_log_group(self) -> str:
        """Return the log group of its requests."""
        return f"/aws/vendedlogs/{self.reports_api}"

    @property
    def reports_log_group_arn(self) -> str:
        """Return the ARN of that log group."""
        return self._arn("logs", f"log-group:{self.reports_log_group}")

    @property
    def topic(self) -> str:
        """Return the name of the topic of alarms and notices."""
        return fit(self.prefix, "-alerts", MAX_TOPIC)

    @property
    def topic_arn(self) -> str:
        """Return the ARN of that topic."""
        return self._arn("sns", self.topic)

    def alarm(self, use: str) -> str:
        """Return the name of an alarm."""
        return fit(self.prefix, f"-{use}", MAX_ALARM)

    def alarm_arn(self, use: str) -> str:
        """Return the ARN of an alarm."""
        return self._arn("cloudwatch", f"alarm:{self.alarm(use)}")

    @property
    def dashboard(self) -> str:
        """Return the name of the dashboard, with the region because dashboards are global."""
        return fit(self.prefix, f"-{self.region}", MAX_DASHBOARD)

    @property
    def dashboard_arn(self) -> str:
        """Return the ARN of the dashboard, which has no region."""
        return f"arn:{self.partition}:cloudwatch::{self.account}:dashboard/{self.dashboard}"

    @property
    def lake_database(self) -> str:
        """Return the name of the database of Iceberg tables; Athena knows no hyphen in a name."""
        return fit(self.prefix, "", MAX_DATABASE).replace("-", "_")

    @property
    def lake_database_arn(self) -> str:
        """Return the ARN of that database."""
        return self._arn("glue", f"database/{self.lake_database}")

    @property
    def lake_arns(self) -> list[str]:
        """Return the ARNs that Glue checks for that database and its tables."""
        tables = self._arn("glue", f"table/{self.lake_database}/*")
        return [self._arn("glue", "catalog"), self.lake_database_arn, tables]

    @property
    def lake_functions_arn(self) -> str:
        """Return the ARNs of functions in that database, which Glue checks when it is deleted."""
        return self._arn("glue", f"userDefinedFunction/{self.lake_database}/*")

    @property
    def event_sources_arn(self) -> str:
        """Return the ARNs of all event sources, whose ids AWS chooses."""
        return self._arn("lambda", "event-source-mapping:*")

    @property
    def gateway_arn(self) -> str:
        """Return how the ARNs of API Gateway's resources begin, which have no account."""
        return f"arn:{self.partition}:apigateway:{self.region}::"

    def _arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


def _of_roles(rules: Organisation) -> tuple[str, tuple[tuple[FunctionUse, str], ...]]:
    """Return the path of roles, and the roles of the user's."""
    uses = [use for use in get_args(FunctionUse) if use in rules.roles]
    return rules.role_path, tuple((use, rules.roles[use]) for use in uses)
