"""`deploy.py verify` follows the logs of earlier versions, and the proofs of reconcile."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployer.operations import verify
from deployer.operations.verified import Fault
from local.connection import connect
from tests.pipeline.conftest import Functions
from tests.pipeline.reconciling import reconcile
from tests.pipeline.test_verify import INGESTED, LOADED, Lake


def first_documents(functions: Functions) -> list[tuple[str, str]]:
    """Return the bucket and the key of the first document of each log."""
    return [
        (functions.ingestion, INGESTED.format(1)),
        (functions.processed, INGESTED.format(1)),
        (functions.processed, LOADED.format(1)),
    ]


def test_a_log_of_an_earlier_version_is_verified_as_far_as_it_goes(
    functions: Functions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents without links are read, and the chain is said to begin after them."""
    monkeypatch.setattr(verify, "FILES", tmp_path / "verify")
    functions.run()
    links = ("previous_sha256", "ingested_sha256", "processed_sha256")
    for bucket, key in first_documents(functions):
        document = functions.document(bucket, key)
        old = {name: value for name, value in document.items() if name not in links}
        body = json.dumps(old).encode()
        functions.s3.put_object(Bucket=bucket, Key=key, Body=body)
    for _ in range(2):
        with connect(functions.source.superuser_url) as shop:
            shop.run("UPDATE design SET file_name = file_name || '+' WHERE design_id = 1")
        functions.run()

    ledger = Lake(functions.s3, functions.ingestion, functions.processed).ledger()
    found = verify.verify_ledger(ledger, 1, datetime.now(UTC), print)

    assert found.faults == {}
    assert {c.linked_from for c in found.logs.values()} == {2}


def test_reconcile_proves_the_logs_and_what_it_compared(
    functions: Functions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its proof, documents that were cut off the ends of all logs together are missed."""
    monkeypatch.setattr(verify, "FILES", tmp_path / "verify")
    functions.run()
    assert reconcile()["agrees"]
    ledger = Lake(functions.s3, functions.ingestion, functions.processed).ledger()
    found = verify.verify_ledger(ledger, 1, datetime.now(UTC), print)
    assert (found.faults, found.notes, found.proofs) == ({}, [], 1)

    [key] = functions.keys(functions.processed, "proofs/")
    proof = functions.document(functions.processed, key)
    assert key == f"proofs/{proof['written_at'][:10]}.json"
    assert (proof["agrees"], proof["not_shown"], proof["signed_with"]) == (True, [], None)
    source = proof["sources"]["source"]
    assert source["batch"] == 1
    orders = source["tables"]["fact_sales_order"]
    assert orders["source"] == orders["warehouse"] > 0
    assert {stage: head["number"] for stage, head in source["heads"].items()} == {
        "ingestion": 1, "processed": 1, "loaded": 1,
    }  # fmt: skip

    cut = first_documents(functions)
    for bucket, document in cut:
        functions.s3.delete_object(Bucket=bucket, Key=document)
    assert verify.verify_ledger(ledger, 1, datetime.now(UTC), print).faults == {
        f"s3://{bucket}/{document}": Fault("missing", f"named by {key}") for bucket, document in cut
    }
