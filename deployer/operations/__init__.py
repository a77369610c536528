"""The commands for a deployed pipeline: run it, show its state, send it an event."""
