"""What GitHub posts of a repository."""
