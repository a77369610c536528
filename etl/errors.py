"""Errors of a declaration, raised while it is read and never at night."""


class DeclarationError(Exception):
    """Say in one line what is wrong in a pipeline's declaration, where, and what to write."""
