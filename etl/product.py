"""What the product is called wherever it leaves a mark: tags, locks, comments, sessions."""

NAME = "source-to-warehouse"
