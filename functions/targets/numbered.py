"""Keys of one integer column: which rows are certain to be new, without a query."""

import pyarrow as pa
import pyarrow.compute as pc


class Extent:
    """The range of numbered keys, of a table or of rows seen so far.

    The parts of a batch mostly have ascending serial keys: those outside the range are new, so that
    no part is compared with what earlier parts have added.
    """

    def __init__(self, lowest: int | None = None, highest: int | None = None) -> None:
        """Without arguments it has no keys."""
        self._lowest = lowest
        self._highest = highest

    def is_beyond(self, lowest: int, highest: int) -> bool:
        """Return whether keys are outside the range, and extend it by them."""
        if self._lowest is None or self._highest is None:
            self._lowest, self._highest = lowest, highest
            return True
        beyond = lowest > self._highest or highest < self._lowest
        self._lowest, self._highest = min(self._lowest, lowest), max(self._highest, highest)
        return bool(beyond)


class Places:
    """The places of rows by their keys, for up to some hundred thousand rows.

    Serial keys have few gaps: then a place is an index by the distance from the lowest key.
    """

    def __init__(self, keys: pa.Array) -> None:
        self.keys = keys
        self.lowest, self.highest = (int(key) for key in pc.min_max(keys).as_py().values())
        self.are_dense = self.highest - self.lowest < 4 * len(keys)
        if self.are_dense:
            last = self.highest - self.lowest
            self._places = pc.inverse_permutation(self._distance(keys), max_index=last)
            self.are_unique = len(self._places) - self._places.null_count == len(keys)
        else:
            self.are_unique = pc.count_distinct(keys).as_py() == len(keys)

    def of(self, keys: pa.Array) -> pa.Array:
        """Return the place of each key, NULL for an unknown one."""
        if not self.are_dense:
            return pc.index_in(keys, self.keys)
        return self._places.take(self._distance(keys))

    def _distance(self, keys: pa.Array) -> pa.Array:
        return pc.subtract(keys.cast(pa.int64()), self.lowest)
