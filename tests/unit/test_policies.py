"""The policies of functions, whole, for each kind of source: each word of them is a right."""

import json
from pathlib import Path
from typing import get_args

import pytest

import pipelines
from deployer.configuration.reader import RemoteBucket
from deployer.resources.names import FunctionUse
from deployer.resources.policies import function_policy
from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, latest, replace
from etl.loading import load
from tests.unit.rights import NAMES, allow, expected

FOLDER = Path(__file__).parent.parent / "pipelines"

# A database, a file in somebody else's bucket, and an API.
TOTESYS: dict[FunctionUse, str] = {
    "extract": """
        read ingestion: source targets rates tombstones keys batches lists
        write ingestion: source targets rates tombstones keys batches files lists
        abort ingestion: files
        list ingestion: batches
        files theirs: reports/
        secrets: source
    """,
    "transform": """
        read ingestion: source targets rates tombstones batches lists
        list ingestion: batches source targets rates tombstones keys files lists
        remove ingestion: source targets rates tombstones keys files lists
        read processed: batches quarantine lists
        write processed: TABLES tombstones quarantine lists swept batches errors
        abort processed: errors
        list processed: batches swept errors TABLES tombstones quarantine lists
        remove processed: TABLES tombstones quarantine lists
    """,
    "load": """
        read processed: TABLES tombstones batches loaded refused lists
        write processed: loaded refused lists
        list processed: batches loaded
        secrets: warehouse
    """,
    "reconcile": """
        read ingestion: batches keys rates lists
        list ingestion: batches
        read processed: batches loaded proofs quarantine tombstones lists
        write processed: proofs
        list processed: batches loaded proofs tombstones
        files theirs: reports/
        secrets: source warehouse
    """,
    "page": """
        read ingestion: batches lists
        list ingestion: batches
        read processed: batches loaded quarantine page lists
        write processed: page
        list processed: batches loaded
        secrets: warehouse
    """,
}
# Files that are dropped, at most so many a day, all of whose rows are kept; with exports.
RETAIL: dict[FunctionUse, str] = {
    "extract": """
        read ingestion: keys batches lists
        write ingestion: shop keys batches lists
        list ingestion: batches
        read processed: batches lists
        list processed: batches
        files drop
    """,
    "transform": """
        read ingestion: shop batches lists
        list ingestion: batches shop keys lists
        remove ingestion: shop keys lists
        read processed: batches lists
        write processed: TABLES lists swept batches errors
        abort processed: errors
        list processed: batches swept errors TABLES lists
        remove processed: TABLES lists
    """,
    "load": """
        read processed: TABLES batches loaded refused lists
        write processed: loaded refused exports lists
        abort processed: exports
        list processed: batches loaded
        secrets: warehouse
    """,
    "reconcile": """
        read ingestion: batches keys lists
        list ingestion: batches
        read processed: batches loaded proofs lists
        write processed: proofs
        list processed: batches loaded proofs
        files drop
        secrets: warehouse
    """,
    "page": """
        read ingestion: batches lists
        list ingestion: batches
        read processed: batches loaded page lists
        write processed: page
        list processed: batches loaded
        secrets: warehouse
    """,
}
LAKE_OF_FILES = """
    read processed: TABLES batches loaded refused lake lists
    write processed: lake
    remove processed: lake
    list processed: batches loaded lake
    glue: GetTable CreateTable UpdateTable
"""
# Events, and their provider's list of those that may have been missed.
STRIPE: dict[FunctionUse, str] = {
    "transform": """
        read ingestion: stripe batches lists
        list ingestion: batches stripe keys lists
        remove ingestion: stripe keys lists
        read processed: batches lists
        write processed: TABLES lists swept batches errors exports
        abort processed: errors
        list processed: batches swept errors TABLES lists
        remove processed: TABLES lists
    """,
    "reconcile": """
        secrets: stripe-api
        queue events
        read ingestion: batches keys stripe lists
        list ingestion: batches
        read processed: batches loaded proofs lists
        write processed: proofs
        list processed: batches loaded proofs
        secrets: warehouse
    """,
}
# Files that are dropped, and some in somebody else's bucket, which are copied.
MARKET: dict[FunctionUse, str] = {
    "extract": """
        read ingestion: stalls keys batches lists
        write ingestion: desk stalls keys batches files lists
        abort ingestion: files
        list ingestion: batches
        read processed: batches lists
        list processed: batches
        files drop
        files theirs: reports/
    """,
    "transform": """
        read ingestion: desk stalls batches lists
        list ingestion: batches desk stalls keys files lists
        remove ingestion: desk stalls keys files lists
        read processed: batches lists
        write processed: TABLES lists swept batches errors
        abort processed: errors
        list processed: batches swept errors TABLES lists
        remove processed: TABLES lists
    """,
}
# APIs alone, one of them with a key.
EXCHANGE: dict[FunctionUse, str] = {
    "extract": """
        read ingestion: exchange press keys batches lists
        write ingestion: exchange press keys batches files lists
        abort ingestion: files
        list ingestion: batches
        secrets: exchange-api
    """,
    "transform": """
        read ingestion: exchange press batches lists
        list ingestion: batches exchange press keys files lists
        remove ingestion: exchange press keys files lists
        read processed: batches lists
        write processed: TABLES lists swept batches errors
        abort processed: errors
        list processed: batches swept errors TABLES lists
        remove processed: TABLES lists
    """,
    "reconcile": """
        read ingestion: batches keys exchange press lists
        list ingestion: batches
        read processed: batches loaded proofs lists
        write processed: proofs
        list processed: batches loaded proofs
        secrets: warehouse exchange-api
    """,
}
# Events without such a list.
TILL: dict[FunctionUse, str] = {
    "reconcile": """
        read ingestion: batches keys till stock lists
        list ingestion: batches
        read processed: batches loaded proofs lists
        write processed: proofs
        list processed: batches loaded proofs
        secrets: warehouse
    """,
}
OF_PIPELINES = {
    "totesys": TOTESYS,
    "retail": RETAIL,
    "stripe": STRIPE,
    "market": MARKET,
    "exchange": EXCHANGE,
    "till": TILL,
}
# Of pipelines whose other sources are left out.
OF_THE_REST = {
    "market": """
        read ingestion: keys batches lists
        write ingestion: desk keys batches lists
        list ingestion: batches
        read processed: batches lists
        list processed: batches
        files drop
    """,
    "exchange": """
        read ingestion: keys batches lists
        write ingestion: keys batches lists
        list ingestion: batches
    """,
}
# More tables than a policy has room for.
OF_MANY: dict[str, str] = {
    "transform": """
        read ingestion: source tombstones batches lists
        list ingestion: batches source tombstones keys lists
        remove ingestion: source tombstones keys lists
        read processed: batches quarantine lists
        write processed: TABLES tombstones quarantine lists swept batches
        list processed: batches swept TABLES tombstones quarantine lists
        remove processed: TABLES tombstones quarantine lists
    """,
    "load": TOTESYS["load"],
}


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.__path__", [*pipelines.__path__, str(FOLDER)])


@pytest.mark.parametrize(
    ("pipeline", "use", "lines"),
    [(name, use, lines) for name, each in OF_PIPELINES.items() for use, lines in each.items()],
)
def test_a_function_has_these_rights_and_no_other(
    pipeline: str, use: FunctionUse, lines: str
) -> None:
    """Each reads what it works on, writes what it makes, and no function removes what is logged."""
    declared = load(pipeline)
    tables = [table.id for target in declared.targets for table in target.tables]
    theirs = RemoteBucket("their-bucket", "reports/")
    buckets = {each.name: theirs for each in declared.files if each.remote}
    apis = [each.name for each in declared.apis]

    policy = function_policy(use, NAMES, declared, buckets, apis=apis)

    assert policy == {"Version": "2012-10-17", "Statement": expected(lines, use, tables)}


def test_the_lake_changes_its_own_objects_and_tables_alone() -> None:
    """What was processed can be read, and no table can be dropped."""
    declared = load("retail")
    tables = [table.id for target in declared.targets for table in target.tables]

    policy = function_policy("lake", NAMES, declared)

    assert policy["Statement"] == expected(LAKE_OF_FILES, "lake", tables)


def test_the_lake_reads_deletions_of_a_database_where_they_are_applied() -> None:
    """What is deleted leaves a table of type `replace`, and no other."""
    table = Table("department", key="id", columns={"id": Integer()})
    warehouse = PostgresWarehouse("warehouse", (replace(table),))
    declared = Pipeline(sources=[Postgres("source", (table,))], targets=[warehouse])
    lines = LAKE_OF_FILES.replace("TABLES", "TABLES tombstones")

    policy = function_policy("lake", NAMES, declared)

    assert policy["Statement"] == expected(lines, "lake", ["department"])


@pytest.mark.parametrize(("pipeline", "lines"), OF_THE_REST.items())
def test_a_source_that_is_left_out_is_in_no_policy_of_extract(pipeline: str, lines: str) -> None:
    """Without its bucket or its URL there is nothing to read, to write or to copy."""
    policy = function_policy("extract", NAMES, load(pipeline))

    assert policy["Statement"] == expected(lines, "extract", [])


@pytest.mark.parametrize(("name", "use"), [("stripe", "transform"), ("retail", "load")])
def test_exports_of_one_target_are_written(name: str, use: FunctionUse) -> None:
    """Where another target has none, as of rows so of tables."""
    table = Table("department", key="id", columns={"id": Integer()})
    exporting = load(name)
    second = PostgresWarehouse("second", (latest(table),))
    both = Pipeline(
        sources=[*exporting.sources, Postgres("source", (table,))],
        targets=[*exporting.targets, second],
    )
    written = [
        resource
        for statement in function_policy(use, NAMES, both)["Statement"]
        if statement["Action"] == "s3:PutObject"
        for resource in statement["Resource"]
    ]

    assert f"{NAMES.bucket_arn('processed')}/exports/*" in written


@pytest.mark.parametrize("use", ["transform", "load"])
def test_a_pipeline_of_many_tables_has_policies_that_aws_accepts(use: FunctionUse) -> None:
    """With more tables than a policy has room for, a function still touches no other's objects."""
    tables = tuple(
        Table(f"a_table_of_a_long_name_{number}", key="id", columns={"id": Integer()})
        for number in range(400)
    )
    warehouse = PostgresWarehouse("warehouse", tuple(map(latest, tables)))
    many = Pipeline(sources=[Postgres("source", tables)], targets=[warehouse])

    policy = function_policy(use, NAMES, many)

    assert policy["Statement"] == expected(OF_MANY[use], use, ["*"])
    assert len(json.dumps(policy, separators=(",", ":"))) <= 10_240


@pytest.mark.parametrize("use", get_args(FunctionUse))
def test_who_writes_notices_may_publish_to_our_topic_alone(use: FunctionUse) -> None:
    """The right to publish comes with the notices, and is for the one topic."""
    before = function_policy(use, NAMES, load("totesys"))["Statement"]
    after = function_policy(use, NAMES, load("totesys"), writes_notices=True)["Statement"]

    assert [statement for statement in after if statement not in before] == [
        allow(["sns:Publish", "sns:GetTopicAttributes"], NAMES.topic_arn)
    ]


@pytest.mark.parametrize("use", get_args(FunctionUse))
def test_only_reconcile_signs_proofs_and_by_that_key_alone(use: FunctionUse) -> None:
    """The right to sign is nobody else's, and of exactly the key that the settings name."""
    key = f"arn:aws:kms:eu-west-2:{NAMES.account}:key/1234"

    policy = function_policy(use, NAMES, load("stripe"), proof_key=key)

    keyed = [each for each in policy["Statement"] if "kms:" in str(each["Action"])]
    assert keyed == ([allow("kms:Sign", key)] if use == "reconcile" else [])
