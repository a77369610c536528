"""A till whose sales are posted: see `pipeline`."""
