"""The Lambda function that keeps Apache Iceberg tables equal to what was loaded."""
