"""One CSV file, and the table that equals it."""
