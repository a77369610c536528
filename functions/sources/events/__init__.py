"""The kind of source that is events: what a provider posts, by way of a queue."""
