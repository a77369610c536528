"""Events that GitHub posts of a repository."""
