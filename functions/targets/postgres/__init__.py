"""A PostgreSQL warehouse: batches are applied in order, one transaction each, idempotently."""
