"""Numbers barcodes by their hashes, many at a time: open addressing with linear probing, in numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

U64 = np.uint64


class HashTable:
    """Gives every distinct 64-bit hash the next number: 0, 1, 2, ..."""

    def __init__(self, *, n_bits: int = 16):
        self.n = 0
        self._n_bits = n_bits
        self._hash = np.zeros(1 << n_bits, dtype=U64)  # 0 = free
        self._code = np.zeros(1 << n_bits, dtype=np.int32)

    def find(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Return the number of each hash, -1 where it is not known."""
        slot = self._home(hashes)
        held = self._hash.take(slot)
        code = self._code.take(slot).astype(np.int64)
        code[held == 0] = -1
        left = np.flatnonzero((held != hashes) & (held != 0))
        slot = slot[left]
        while len(left):
            slot = self._next(slot)
            held = self._hash.take(slot)
            code[left] = np.where(held == 0, -1, self._code.take(slot))
            on = (held != hashes[left]) & (held != 0)
            left, slot = left[on], slot[on]
        return code

    def add(self, hashes: npt.NDArray[np.uint64]) -> None:
        """Number these hashes, in their order; they are distinct and not known yet."""
        while 2 * (self.n + len(hashes)) > len(self._hash):
            self._grow()
        self._place(hashes, np.arange(self.n, self.n + len(hashes), dtype=np.int32))
        self.n += len(hashes)

    def _place(self, hashes: npt.NDArray[np.uint64], codes: npt.NDArray[np.int32]) -> None:
        slot = self._home(hashes)
        while len(hashes):
            free = self._hash.take(slot) == 0
            self._hash[slot[free]] = hashes[free]  # of several that want one slot, one gets it
            here = self._hash.take(slot) == hashes
            self._code[slot[here]] = codes[here]
            on = ~here
            hashes, codes, slot = hashes[on], codes[on], self._next(slot[on])

    def _grow(self) -> None:
        used = self._hash != 0
        hashes, codes = self._hash[used], self._code[used]
        self._n_bits += 2
        self._hash = np.zeros(1 << self._n_bits, dtype=U64)
        self._code = np.zeros(1 << self._n_bits, dtype=np.int32)
        self._place(hashes, codes)

    def _home(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        return (hashes >> U64(64 - self._n_bits)).astype(np.int64)

    def _next(self, slot: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return (slot + 1) & (len(self._hash) - 1)
