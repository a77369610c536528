"""The parts of wheels that a layer leaves out, because no function ever loads them.

Lambda limits a function and its layers to 250 MB, unzipped, and a cold start downloads them:
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

import shutil
from pathlib import Path

# For compilers, type checkers and the packages' tests.
DEVELOPMENT = (
    "bin",
    "**/tests",
    "**/include",
    "**/includes",
    *(
        f"**/*.{suffix}"
        for suffix in ("a", "c", "cmake", "cpp", "h", "pc", "pxd", "pxi", "pyi", "pyx")
    ),
)
# What pip records of the installation, which depends on its version.
BOOKKEEPING = tuple(f"*.dist-info/{name}" for name in ("INSTALLER", "RECORD", "REQUESTED"))
# The functions read and write CSV and Parquet in memory: no Flight (29 MB), none of Arrow's object
# stores (16 MB), no encryption, no ORC. The wheel has libarrow_python under three names; the one
# that ends in the ABI number is loaded. libarrow_substrait, _dataset, _acero and _compute are kept:
# pyarrow.lib is linked against them.
PYARROW = (
    "pyarrow/src",
    "pyarrow/*flight*",
    "pyarrow/libarrow_s3*",
    "pyarrow/_s3fs*",
    "pyarrow/_gcsfs*",
    "pyarrow/_azurefs*",
    "pyarrow/_hdfs*",
    "pyarrow/*parquet_encryption*",
    "pyarrow/*orc*",
    "pyarrow/_substrait*",
    "pyarrow/*cpp_tests*",
    "pyarrow/libarrow_python.so",
    "pyarrow/libarrow_python.so.*.*",
    "pyarrow/libarrow_python.dylib",
    "pyarrow/libarrow_python.*.*.dylib",
)
# The Fortran bindings of numpy; the OpenAPI pages of powertools.
OTHERS = (
    "numpy/f2py",
    "numpy/_pyinstaller",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui",
)


def slim(folder: Path) -> None:
    """Remove these parts from a folder that pip has installed wheels into."""
    for pattern in (*DEVELOPMENT, *BOOKKEEPING, *PYARROW, *OTHERS):
        for path in sorted(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
