"""Files in a bucket: each version of each is read once, and all of its cells as text."""
