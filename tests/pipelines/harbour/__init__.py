"""harbour: see `pipeline.py`."""
