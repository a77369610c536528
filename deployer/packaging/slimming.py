"""The parts of wheels that a dependency layer leaves out: no function ever loads them.

Lambda unpacks all layers of a function into 250 MB, and a cold start waits for them.
"""

import shutil
import struct
from pathlib import Path

# For compilers, type checkers and the packages' own tests.
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
# pip's notes of the installation, which differ with its version.
BOOKKEEPING = tuple(f"*.dist-info/{name}" for name in ("INSTALLER", "RECORD", "REQUESTED"))
# The functions read and write CSV and Parquet in memory: no Flight (29 MB), no object stores of
# Arrow's own (16 MB), no encryption, no ORC. The one libarrow_python that is loaded is the one
# whose name ends in the ABI number; the wheel holds it under three names.
# libarrow_substrait, _dataset, _acero and _compute are linked into pyarrow.lib and have to stay.
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
# Fortran bindings of numpy; the OpenAPI pages of powertools.
OTHERS = (
    "numpy/f2py",
    "numpy/_pyinstaller",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui",
)


def slim(folder: Path) -> None:
    """Remove what is not needed from a folder that pip has installed wheels into."""
    for pattern in (*DEVELOPMENT, *BOOKKEEPING, *PYARROW, *OTHERS):
        for path in sorted(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    for library in folder.rglob("*.so*"):
        library.write_bytes(without_symbols(library.read_bytes()))


def without_symbols(library: bytes) -> bytes:
    """Cut what follows the last segment of a 64-bit ELF library: symbol and section tables.

    The dynamic loader reads segments only (elf(5)). This is what binutils' strip gains, but the
    same on every machine: no binutils are needed, and it does not matter for which architecture
    the library was built. Anything else than such a library comes back as it is.
    """
    if library[:6] != b"\x7fELF\x02\x01":
        return library
    (table,) = struct.unpack_from("<Q", library, 32)
    size, count = struct.unpack_from("<HH", library, 54)
    end = table + size * count
    for header in range(table, end, size):
        offset, length = struct.unpack_from("<8xQ16xQ", library, header)
        end = max(end, offset + length)
    cut = bytearray(library[:end])
    struct.pack_into("<Q", cut, 40, 0)  # no section header table,
    struct.pack_into("<HHH", cut, 58, 0, 0, 0)  # which therefore has no entries and no names
    return bytes(cut)
