"""A PostgreSQL database that may only be read: what changed since the last batch, exactly."""
