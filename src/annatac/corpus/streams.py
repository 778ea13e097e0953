"""Random numbers that depend on (seed, epoch, cell, item) alone.

A cell is thinned and masked alike whatever batch, process or order it is met in, so that one process
and many train on the same numbers.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer]


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def keyed_uniform(
    purpose: str, seed: int, epoch: int, cells: Integers | int, items: Integers | int = 0
) -> npt.NDArray[np.float32]:
    """Return uniform numbers in [0, 1), float32, one for each pair of (cell, item) after broadcasting.

    ``purpose`` names the stream ('thin', 'mask', ...): different purposes are independent.
    """
    golden = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        key = np.full(1, zlib.crc32(purpose.encode()), dtype=np.uint64)
        for part in (seed, epoch, cells, items):
            key = _mix(key + golden + np.asarray(part).astype(np.uint64) * golden)
    value = (key >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    return value.reshape(np.broadcast_shapes(np.shape(cells), np.shape(items)))


def keyed_dropout(
    rate: float, cells: Integers, n_units: int, *, seed: int, epoch: int
) -> npt.NDArray[np.float32] | None:
    """Return what each cell's hidden units are multiplied by, float32 (cells, n_units): 0 or 1 / (1 - rate).

    None where nothing is dropped.
    """
    if rate <= 0:
        return None
    draws = keyed_uniform("dropout", seed, epoch, np.asarray(cells)[:, None], np.arange(n_units))
    return (draws >= rate).astype(np.float32) / np.float32(1 - rate)
