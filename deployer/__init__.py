"""Everything that makes the pipeline exist in an AWS account, one module per service.

This package knows nothing of what the functions do: it never imports `functions` or `local`.
"""
