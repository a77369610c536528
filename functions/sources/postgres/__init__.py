"""A PostgreSQL database that may only be read: exactly the changes since the last batch."""
