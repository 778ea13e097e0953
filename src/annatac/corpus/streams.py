"""Random numbers that depend on (seed, epoch, cell, item) alone.

A cell is thinned and masked alike whatever batch, process or order it is met in, so that one process
and many train on the same numbers.
"""

from __future__ import annotations

import zlib
from typing import TypeVar, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Integers = npt.NDArray[np.integer]
Keys = TypeVar("Keys", npt.NDArray[np.int64], Tensor)


def _signed(number: int) -> int:
    """Return the int64 of the same 64 bits."""
    return number - 2**64 if number >= 2**63 else number


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST, _SECOND = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def _right(x: Keys, bits: int) -> Keys:
    """Shift right and fill with zeros, where ``>>`` of an int64 repeats the sign."""
    return (x >> bits) & (2 ** (64 - bits) - 1)


def _mix(x: Keys) -> Keys:
    """Finaliser of SplitMix64 (Steele, Lea and Flood 2014), on int64: products wrap around as those of uint64 do."""
    x = (x ^ _right(x, 30)) * _FIRST
    x = (x ^ _right(x, 27)) * _SECOND
    return x ^ _right(x, 31)


@overload
def keyed_uniform(purpose: str, seed: int, epoch: int, cells: Tensor, items: Tensor | int = 0) -> Tensor: ...


@overload
def keyed_uniform(
    purpose: str, seed: int, epoch: int, cells: Integers | int, items: Integers | int = 0
) -> npt.NDArray[np.float32]: ...


def keyed_uniform(
    purpose: str,
    seed: int,
    epoch: int,
    cells: Integers | int | Tensor,
    items: Integers | int | Tensor = 0,
) -> npt.NDArray[np.float32] | Tensor:
    """Return uniform numbers in [0, 1), float32, one for each pair of (cell, item) after broadcasting.

    ``purpose`` names the stream ('thin', 'mask', ...): different purposes are independent. Of int64 tensors the numbers
    are made where they lie, and are the same to the bit as those of arrays.
    """
    with np.errstate(over="ignore"):
        key = np.full(1, zlib.crc32(purpose.encode()), dtype=np.int64)
        for number in (seed, epoch):
            key = _mix(key + _GOLDEN + np.asarray(number).astype(np.int64) * _GOLDEN)
        if isinstance(cells, Tensor):
            keys = torch.full((), int(key[0]), dtype=torch.int64, device=cells.device)
            keys = _mix(keys + _GOLDEN + cells * _GOLDEN)
            keys = _mix(keys + _GOLDEN + torch.as_tensor(items, device=keys.device) * _GOLDEN)
            return _right(keys, 40).to(torch.float32) * 2.0**-24
        for array in (cells, np.asarray(items)):
            key = _mix(key + _GOLDEN + np.asarray(array).astype(np.int64) * _GOLDEN)
    value = _right(key, 40).astype(np.float32) * np.float32(2.0**-24)
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
