"""Begin a pipeline: look into a live database, and write the declaration of its tables."""
