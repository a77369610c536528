"""A REST API: asked at intervals, and each of its answers is kept as it came."""
