"""What at least two of the functions need: the batch log, COPY streams, settings, telemetry."""
