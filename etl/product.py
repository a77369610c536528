"""The name of the product wherever it leaves a mark: tags, locks, comments, sessions."""

NAME = "source-to-warehouse"
