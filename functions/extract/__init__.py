"""Extract: copy what changed in the source, as it was at one moment, into the ingestion bucket."""
