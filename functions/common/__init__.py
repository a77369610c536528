"""Code that several of the functions need: the batch log, COPY streams, settings, telemetry."""
