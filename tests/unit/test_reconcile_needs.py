"""What reconcile checks of itself when it is deployed."""

from types import SimpleNamespace

import pytest

from etl import Integer, Pipeline, Postgres, PostgresWarehouse, Table, latest
from functions.reconcile import handler

STAFF = Table("staff", key="id", columns={"id": Integer()})
DECLARED = Pipeline(
    sources=[Postgres("source", (STAFF,))],
    targets=[PostgresWarehouse("warehouse", (latest(STAFF),))],
)


@pytest.mark.parametrize("signs", [True, False])
def test_who_signs_proofs_checks_the_key(monkeypatch: pytest.MonkeyPatch, *, signs: bool) -> None:
    """A right that is missing would be found only with the first proof."""
    signer = SimpleNamespace(check=lambda: None) if signs else None
    sides = SimpleNamespace(pipeline=DECLARED, folder=None, secrets=None, signer=signer)
    monkeypatch.setattr(handler, "_sides", lambda: sides)
    monkeypatch.setenv("INGESTION_BUCKET", "ingestion")
    monkeypatch.setenv("PROCESSED_BUCKET", "processed")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")

    needs = {need.what: need.look for need in handler._needs()}

    key = {} if signer is None else {"key of proofs": signer.check}
    assert [*needs] == [
        "bucket ingestion", "bucket processed", *key, "source source", "target warehouse",
    ]  # fmt: skip
    assert key.items() <= needs.items()
