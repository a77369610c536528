"""The error of a file that cannot be used."""


class FileUnusable(Exception):
    """Nothing of a file can be used: the reason is for its author, and has none of its values."""
