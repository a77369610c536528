"""What pyiceberg knows of Arrow's schemas and Parquet's statistics, without Arrow's S3."""

import sys
from types import ModuleType

# The layer has no S3 part of Arrow; pyiceberg imports it for a class that is not used here.
_S3FS = ModuleType("pyarrow._s3fs")
_S3FS.S3RetryStrategy = object  # type: ignore[attr-defined]
sys.modules.setdefault(_S3FS.__name__, _S3FS)

from pyiceberg.io.pyarrow import (  # noqa: E402  after the module that it imports
    _pyarrow_to_schema_without_ids as schema_without_ids,
)
from pyiceberg.io.pyarrow import (  # noqa: E402
    parquet_file_to_data_file,
    schema_to_pyarrow,
)

__all__ = ["parquet_file_to_data_file", "schema_to_pyarrow", "schema_without_ids"]
