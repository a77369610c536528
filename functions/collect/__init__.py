"""Collect: copy the events that wait in the queue into the ingestion bucket, as batches."""
