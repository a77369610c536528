"""Fixtures for every tier, and what Lambda sets before it imports a function."""

import os

os.environ["POWERTOOLS_METRICS_NAMESPACE"] = "tests"
os.environ["POWERTOOLS_SERVICE_NAME"] = "tests"

pytest_plugins = ["tests.postgres_fixtures"]
