"""The error of a declaration, which is raised when the declaration is read."""


class DeclarationError(Exception):
    """A mistake in a pipeline's declaration, in one line: where, what, and what to write."""
