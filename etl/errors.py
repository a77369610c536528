"""Errors of a declaration, raised while it is read and never at night."""


class DeclarationError(Exception):
    """A mistake in a pipeline's declaration, in one line: where, what, and what to write."""
