"""A pipeline with joins of every kind, for the tests."""
