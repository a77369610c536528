"""A REST API as a kind of source: it is polled, and its answers are stored as they came."""
