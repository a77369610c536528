"""A pipeline of events."""
