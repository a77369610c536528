"""Extract: write what changed in the sources into the ingestion bucket, as consistent batches."""
