"""Why a file cannot be used."""


class FileUnusable(Exception):
    """Say why nothing of a file can be used: a reason for whoever wrote it, without its values."""
