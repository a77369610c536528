"""IAM policies of the functions.

Pure functions of the names and of the pipeline's declaration. Every statement lists its actions,
and its resources down to the prefix; a call that a function does not make is not allowed.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from deployer.configuration.databases import DatabaseAddress
from deployer.configuration.existing_secrets import ExistingSecret
from deployer.configuration.reader import RemoteBucket
from deployer.resources import keys, specs
from deployer.resources.names import BucketUse, FunctionUse, Names
from deployer.resources.resource_policies import Policy, allow, policy_of
from deployer.resources.secret_policies import NO_LOGINS, NO_SECRETS, logging_in, reading
from etl import Files, Postgres
from etl.pipeline import RESERVED, Pipeline

ALL = "*"
# None of them deletes: a table is dropped by a person, or by the teardown.
KEEPING_TABLES = ("glue:GetTable", "glue:CreateTable", "glue:UpdateTable")
# A function reads the attributes to check that it reaches the queue, without sending anything.
STORING = ["sqs:SendMessage", "sqs:GetQueueAttributes"]
# Of all inline policies of a role, without white space:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
POLICY_CHARACTERS = 10_240
# What Lambda does with the role of a function to connect it to a network, and to leave it.
CHANGES_OF_NETWORKS = (
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
LOOKS_AT_NETWORKS = ("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets")
NO_BUCKETS: Mapping[str, RemoteBucket] = MappingProxyType({})


def function_policy(
    use: FunctionUse,
    names: Names,
    declared: Pipeline,
    buckets: Mapping[str, RemoteBucket] = NO_BUCKETS,
    *,
    apis: Collection[str] = (),
    report_secrets: Collection[str] = (),
    writes_notices: bool = False,
    in_network: bool = False,
    existing: Mapping[str, ExistingSecret] = NO_SECRETS,
    logins: Mapping[str, DatabaseAddress] = NO_LOGINS,
    key: str | None = None,
    proof_key: str | None = None,
) -> Policy:
    """Return the least rights that a function needs.

    `buckets` are those of others, by source; `apis` the names of the sources that are APIs and are
    not left out; `report_secrets` the names of the secrets by which reports are served;
    `in_network` whether it is in a network of the user's. By the name of a secret: `existing` are
    those of others, `logins` the addresses in ours. `key` is that which encrypts everything,
    `proof_key` that which signs proofs, both by their ARNs.

    In the processed bucket there is a prefix for each target table. If their list exceeds the limit
    of a policy, all prefixes are allowed except the reserved ones.
    """
    own: Mapping[FunctionUse, Callable[[Names, Pipeline, list[str]], list[Policy]]] = {
        "extract": partial(_extract, buckets, apis),
        "transform": _transform,
        "load": _load,
        "reconcile": partial(_reconcile, apis, proof_key),
        "page": _page,
        "receive": _receive,
        "collect": _collect,
        "serve": _serve,
        "lake": _iceberg,
    }
    publishing = ["sns:Publish", "sns:GetTopicAttributes"]
    notices = [allow(publishing, names.topic_arn)] if writes_notices else []
    files = _files(names, declared, buckets) if use in specs.READS_SOURCES else []
    read = _secrets(use, declared, apis, report_secrets)
    secrets = [*reading(read, names, existing), *logging_in(read, names, logins)]
    network = network_rights(use, names) if in_network else []
    rest = [*files, *secrets, *notices, *network, *_common(use, names)]
    tables = [table.id for target in declared.targets for table in target.tables]

    def whole(tables: list[str]) -> Policy:
        statements = [*own[use](names, declared, tables), *rest]
        return policy_of(*statements, *(keys.rights(statements, key, names) if key else []))

    policy = whole(tables)
    if len(json.dumps(policy, separators=(",", ":"))) <= POLICY_CHARACTERS:
        return policy
    return whole([ALL])


def _extract(
    buckets: Mapping[str, RemoteBucket],
    apis: Collection[str],
    names: Names,
    declared: Pipeline,
    tables: list[str],
) -> list[Policy]:
    left_out = {each.name for each in declared.files if each.remote and each.name not in buckets}
    left_out |= {each.name for each in declared.apis if each.name not in apis}
    lake = [prefix for prefix in (*_lake(declared), "batches") if prefix not in left_out]
    whole = {each.name for each in declared.files if _comes_whole(each, declared)}
    copies = ["files"] if buckets or apis else []
    last = [
        *_objects("s3:GetObject", "processed", ["batches"], names),
        *_list("processed", ["batches"], names),
    ]
    return [
        # Rows are read only by a replay of a part of them.
        *_objects("s3:GetObject", "ingestion", [each for each in lake if each not in whole], names),
        *_objects("s3:PutObject", "ingestion", [*lake, *copies], names),
        *_objects("s3:AbortMultipartUpload", "ingestion", copies, names),
        *_list("ingestion", ["batches"], names),
        *(last if any(source.at_most for source in declared.files) else []),
    ]


def _transform(names: Names, declared: Pipeline, tables: list[str]) -> list[Policy]:
    deleted = ["tombstones"] if _of_databases(declared) else []
    quarantine = ["quarantine"] if _of_databases(declared) else []
    errors = ["errors"] if len(declared.sources) > len(_of_databases(declared)) else []
    rows = ["exports"] if any(target.row_exports for target in declared.targets) else []
    # Objects without a manifest are listed and removed; manifests and markers never are.
    lake = [*_lake(declared), *(["files"] if _copies_files(declared) else []), "lists"]
    stars = [*tables, *deleted, *quarantine, "lists"]
    read = [*(source.name for source in declared.sources), *deleted, "batches"]
    return [
        *_objects("s3:GetObject", "ingestion", read, names),
        *_list("ingestion", ["batches", *lake], names),
        *_objects("s3:DeleteObject", "ingestion", lake, names),
        *_objects("s3:GetObject", "processed", ["batches", *quarantine], names),
        *_objects("s3:PutObject", "processed", [*stars, "swept", "batches", *errors, *rows], names),
        *_objects("s3:AbortMultipartUpload", "processed", errors, names),
        *_list("processed", ["batches", "swept", *errors, *stars], names),
        *_objects("s3:DeleteObject", "processed", stars, names),
    ]


def _load(names: Names, declared: Pipeline, tables: list[str]) -> list[Policy]:
    kept = ["loaded", "refused"]
    deleted = ["tombstones"] if _of_databases(declared) else []
    exports = ["exports"] if any(target.exports for target in declared.targets) else []
    return [
        *_objects("s3:GetObject", "processed", [*tables, *deleted, "batches", *kept], names),
        *_objects("s3:PutObject", "processed", [*kept, *exports], names),
        *_objects("s3:AbortMultipartUpload", "processed", exports, names),
        *_list("processed", ["batches", "loaded"], names),
    ]


def _reconcile(
    apis: Collection[str],
    proof_key: str | None,
    names: Names,
    declared: Pipeline,
    tables: list[str],
) -> list[Policy]:
    # Rows that are deleted from a database or in quarantine are not expected in the warehouse.
    kept = ["quarantine", "tombstones"] if _of_databases(declared) else []
    deleted = ["tombstones"] if _of_databases(declared) else []
    # Events cannot be read again from their source: those in the lake are compared.
    events = [source.name for source in declared.events]
    missed = [source for source in declared.events if source.missed]
    keys = [names.secret_arn(source.key_secret) for source in missed]
    asking = [allow("secretsmanager:GetSecretValue", keys)] if missed else []
    storing = [allow(STORING, names.events_queue_arn)] if missed else []
    signing = [allow("kms:Sign", proof_key)] if proof_key else []
    return [
        *asking,
        *storing,
        *_objects("s3:GetObject", "ingestion", ["batches", "keys", *events, *apis], names),
        *signing,
        *_list("ingestion", ["batches"], names),
        *_objects("s3:GetObject", "processed", ["batches", "loaded", "proofs", *kept], names),
        *_objects("s3:PutObject", "processed", ["proofs"], names),
        *_list("processed", ["batches", "loaded", "proofs", *deleted], names),
    ]


def _page(names: Names, declared: Pipeline, tables: list[str]) -> list[Policy]:
    quarantine = ["quarantine"] if _of_databases(declared) else []
    read = ["batches", "loaded", *quarantine, "page"]
    return [
        *_objects("s3:GetObject", "ingestion", ["batches"], names),
        *_list("ingestion", ["batches"], names),
        *_objects("s3:GetObject", "processed", read, names),
        *_objects("s3:PutObject", "processed", ["page"], names),
        *_list("processed", ["batches", "loaded"], names),
    ]


def _receive(names: Names, declared: Pipeline, tables: list[str]) -> list[Policy]:
    return [allow(STORING, names.events_queue_arn)]


def _collect(names: Names, declared: Pipeline, tables: list[str]) -> list[Policy]:
    taking = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    sources = [source.name for source in declared.events]
    return [
        allow(taking, names.events_queue_arn),
        *_objects("s3:GetObject", "ingestion", ["batches"], names),
        *_objects("s3:PutObject", "ingestion", [*sources, "batches"], names),
        *_list("ingestion", ["batches"], names),
    ]


def _serve(names: Names, declared: Pipeline, tables: list[str]) -> list[Policy]:
    # Only the markers record which batches a prepared warehouse has.
    return [
        *_objects("s3:GetObject", "processed", ["loaded"], names),
        *_list("processed", ["loaded"], names),
    ]


def _iceberg(names: Names, declared: Pipeline, tables: list[str]) -> list[Policy]:
    fed = (mapping for each in _of_databases(declared) for mapping in declared.mappings(each.name))
    deleted = ["tombstones"] if any(mapping.target.way == "replace" for mapping in fed) else []
    read = [*tables, *deleted, "batches", "loaded", "refused", "lake"]
    return [
        *_objects("s3:GetObject", "processed", read, names),
        *_objects("s3:PutObject", "processed", ["lake"], names),
        *_objects("s3:DeleteObject", "processed", ["lake"], names),
        *_list("processed", ["batches", "loaded", "lake"], names),
        allow([*KEEPING_TABLES], names.lake_arns),
    ]


def _lake(declared: Pipeline) -> list[str]:
    """Return the prefixes of the ingestion bucket with the data of batches."""
    deleted = ["tombstones"] if _of_databases(declared) else []
    return [*(source.name for source in declared.sources), *deleted, "keys"]


def _of_databases(declared: Pipeline) -> list[Postgres]:
    """Return the sources that are databases: their rows may be deleted, or be in quarantine."""
    return [source for source in declared.sources if isinstance(source, Postgres)]


def _comes_whole(source: Files, declared: Pipeline) -> bool:
    """Return whether a replay reads all rows of a file again, or none."""
    return all(mapping.target.way == "replace" for mapping in declared.mappings(source.name))


def _copies_files(declared: Pipeline) -> bool:
    """Return whether answers of APIs, or files of somebody else's bucket, are copied."""
    return bool(declared.apis) or any(source.remote for source in declared.files)


def _files(names: Names, declared: Pipeline, buckets: Mapping[str, RemoteBucket]) -> list[Policy]:
    """Allow to list and read files, in every version, and to change nothing."""
    places = [(names.bucket("drop"), "")] if any(not each.remote for each in declared.files) else []
    places += [(bucket.name, bucket.prefix) for bucket in buckets.values()]
    return [statement for place in dict.fromkeys(places) for statement in _readable(names, *place)]


def _readable(names: Names, bucket: str, prefix: str) -> Iterator[Policy]:
    """Yield statements that allow to read the objects of a bucket under a prefix."""
    arn = f"arn:{names.partition}:s3:::{bucket}"
    # Without the right to list, S3 answers for a missing file that access is denied.
    listing = allow(["s3:ListBucket", "s3:ListBucketVersions"], arn)
    below = {"Condition": {"StringLike": {"s3:prefix": [f"{prefix}*"]}}}
    yield {**listing, **(below if prefix else {})}
    yield allow(["s3:GetObject", "s3:GetObjectVersion"], f"{arn}/{prefix}*")


def _common(use: FunctionUse, names: Names) -> list[Policy]:
    """Allow to write the log, and to store failed events and the outcomes of runs."""
    streams = f"{names.log_group_arn(use)}:*"
    keeper = [allow("sqs:SendMessage", names.queue_arn)] if use in specs.KEEPS_FAILED else []
    return [
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], streams),
        *keeper,
        *_outcomes(use, names),
    ]


def _outcomes(use: FunctionUse, names: Names) -> list[Policy]:
    """Allow to store what becomes of a run that the deployer follows."""
    if (bucket := specs.OUTCOME_BUCKETS.get(use)) is None:
        return []
    return _objects("s3:PutObject", bucket, [f"runs/{use}"], names)


def _secrets(
    use: FunctionUse,
    declared: Pipeline,
    apis: Collection[str],
    report_secrets: Collection[str],
) -> list[str]:
    """Return the names of the secrets that a function reads."""
    read = [part.name for part in specs.secrets_of(use, declared)]
    if use == "serve":
        read = [*report_secrets]
    if use in specs.READS_SOURCES:
        keyed = [source for source in declared.apis if source.key and source.name in apis]
        read += [source.key_secret for source in keyed]
    return read


def network_rights(use: FunctionUse, names: Names) -> list[Policy]:
    """Allow Lambda to connect a function to a network, and forbid it to the function's own code.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
    """
    # Subnets may be another account's, which shares them.
    changing = allow([*CHANGES_OF_NETWORKS], f"arn:{names.partition}:ec2:{names.region}:*:*/*")
    by_its_code = {"ArnEquals": {"lambda:SourceFunctionArn": names.function_arn(use)}}
    actions = [*CHANGES_OF_NETWORKS, *LOOKS_AT_NETWORKS]
    return [
        changing,
        allow([*LOOKS_AT_NETWORKS], ALL),
        {"Effect": "Deny", "Action": actions, "Resource": ALL, "Condition": by_its_code},
    ]


def _objects(action: str, bucket: BucketUse, prefixes: Sequence[str], names: Names) -> list[Policy]:
    """Allow an action on the objects under prefixes, which may be empty.

    Whoever reads or writes the documents of a log reads or writes their long lists.
    ALL means all prefixes except the other reserved ones; a denial would beat `_outcomes`.
    """
    arn = names.bucket_arn(bucket)
    if not prefixes:
        return []
    if "lists" not in prefixes and {"batches", "loaded"} & {*prefixes}:
        prefixes = [*prefixes, "lists"]
    allowed = allow(action, [f"{arn}/{prefix}/*" for prefix in prefixes])
    if ALL not in prefixes:
        return [allowed]
    granted = {*prefixes, "runs"} if action == "s3:PutObject" else {*prefixes}
    others = [f"{arn}/{prefix}/*" for prefix in sorted(RESERVED - granted)]
    return [allowed, {"Effect": "Deny", "Action": action, "Resource": others}]


def _list(bucket: BucketUse, prefixes: Sequence[str], names: Names) -> list[Policy]:
    condition = {"StringLike": {"s3:prefix": [f"{prefix}/*" for prefix in prefixes]}}
    return [{**allow("s3:ListBucket", names.bucket_arn(bucket)), "Condition": condition}]
