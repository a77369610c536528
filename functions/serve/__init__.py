"""The Lambda function `serve`: answer requests for a pipeline's reports, read only."""
