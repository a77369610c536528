"""A MySQL or MariaDB warehouse: batches are applied in order and whole, idempotently."""
