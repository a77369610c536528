"""The function `serve`: answers requests for a pipeline's reports, read only."""
