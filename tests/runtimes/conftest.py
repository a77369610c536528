"""The pipeline's databases and the local AWS, as the other tests have them."""

from tests.pipeline.conftest import functions, functions_on, lake_numbers, local_aws

__all__ = ["functions", "functions_on", "lake_numbers", "local_aws"]
