"""Logs and metrics of the functions, as JSON lines for CloudWatch.

Service name and namespace come from POWERTOOLS_* variables. Never log a connection, a secret or a
row's values: batch numbers, table names, keys and counts are enough to find them.
"""

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

__all__ = ["MetricUnit", "logger", "metrics"]

logger = Logger(utc=True)
metrics = Metrics()
