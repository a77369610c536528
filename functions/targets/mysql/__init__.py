"""A MySQL or MariaDB warehouse: batches are applied in order, one transaction each, idempotently."""
