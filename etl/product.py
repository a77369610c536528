"""The name of the product in tags, locks, comments and sessions."""

NAME = "source-to-warehouse"
