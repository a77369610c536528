"""Collect: write the events of the queue into the ingestion bucket, as batches."""
