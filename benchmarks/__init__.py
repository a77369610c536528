"""Measurements side by side: the pipeline against raw COPY and other tools, on this machine."""
