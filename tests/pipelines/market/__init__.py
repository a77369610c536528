"""A market: see `pipeline`."""
