"""PostgreSQL's hash of integers, `hashint8extended(key, 0)`, in Arrow.

For keys that were read: this saves a second scan of the source. The hash is the same in every
version, as it assigns the rows of a table to its hash partitions.
https://github.com/postgres/postgres/blob/master/src/common/hashfn.c
"""

import pyarrow as pa
import pyarrow.compute as pc

_UINT32 = pa.uint32()
_INITIAL = (0x9E3779B9 + 4 + 3923095) & 0xFFFFFFFF


def hash_halves(keys: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the hashes of keys (int64, none NULL), in two halves: `upper * 2**32 + lower`.

    `upper` is signed and `lower` is not; both are int64, so that they can be summed.
    """
    upper, lower = _hash(_folded(keys))
    return upper.cast(pa.int32(), safe=False).cast(pa.int64()), lower.cast(pa.int64())


def _folded(keys: pa.Array) -> pa.Array:
    """Return 64 bits as 32, so that a number's hash does not depend on its type's width."""
    sign = pc.if_else(pc.less(keys, 0), -1, 0)  # Arrow does not shift by all 63 bits
    upper = pc.shift_right(pc.bit_wise_xor(keys, sign), 32)
    return pc.bit_wise_xor(_lower_half(keys), _lower_half(upper))


def _lower_half(numbers: pa.Array) -> pa.Array:
    return numbers.cast(_UINT32, safe=False)


def _hash(keys: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the hash by the final mixing of Bob Jenkins' lookup3."""
    b = c = pa.repeat(pa.scalar(_INITIAL, _UINT32), len(keys))
    a = pc.add(keys, c)
    c = _mixed(c, b, 14)
    a = _mixed(a, c, 11)
    b = _mixed(b, a, 25)
    c = _mixed(c, b, 16)
    a = _mixed(a, c, 4)
    b = _mixed(b, a, 14)
    return b, _mixed(c, b, 24)


def _mixed(number: pa.Array, other: pa.Array, by: int) -> pa.Array:
    """Return `(number ^ other) - rotated(other)`, in unsigned 32 bits, which wrap around."""
    upper = pc.shift_left(other, pa.scalar(by, _UINT32))
    lower = pc.shift_right(other, pa.scalar(32 - by, _UINT32))
    return pc.subtract(pc.bit_wise_xor(number, other), pc.bit_wise_or(upper, lower))
