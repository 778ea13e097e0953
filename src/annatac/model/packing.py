"""Tables of one row an island, stored in 8 or 4 bits a number: each column has 256 or 16 values of its own.

A model's size is that of these tables. Sums over the hundreds of open islands of a cell average their rounding
errors away (``perf/model_size.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

LARGE = 100_000  # islands from which on a number takes 4 bits
CODES, VALUES = ".codes", ".values"  # what a packed tensor's name becomes
_ROUNDS = 30  # of Lloyd's algorithm


def table_bits(n_islands: int) -> int:
    """Return in how many bits the numbers of a table with a row an island are stored.

    In 8 bits few calls change; where a universe is so large that the tables weigh, cells have many open islands, over
    which the errors of 4 bits cancel out.
    """
    return 8 if n_islands < LARGE else 4


def pack(table: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Return the codes, uint8 (L, C) or (L, (C + 1) // 2), and the values that they stand for, float32 (C, 2^bits).

    A column's values are the means of the parts into which Lloyd's algorithm cuts its numbers. A column of no more
    different numbers than values is kept as it is, so that packing twice changes nothing.

    Parameters
    ----------
    table
        float32 (L, C), all finite.
    bits
        8 or 4. Of 4, column 2 j is in the low half of byte j and column 2 j + 1 in the high one.
    """
    columns = np.ascontiguousarray(table.detach().cpu().float().numpy().T)
    n_columns, n_rows = columns.shape
    values = np.zeros((n_columns, 2**bits), dtype=np.float32)
    codes = np.zeros((n_columns + n_columns % 2, n_rows), dtype=np.uint8)
    for j, column in enumerate(columns):
        values[j] = _values(column, 2**bits)
        codes[j] = np.searchsorted(_middles(values[j]), column)
    codes = codes[:n_columns] if bits == 8 else codes[::2] | codes[1::2] << 4
    return torch.from_numpy(np.ascontiguousarray(codes.T)), torch.from_numpy(values)


def unpack(codes: Tensor, values: Tensor) -> Tensor:
    """Return the table that :func:`pack` was given, each number as its column's nearest value, float32 (L, C)."""
    n_columns, n_values = values.shape
    if n_values == 16:
        codes = torch.stack([codes & 15, codes >> 4], dim=2).flatten(1)[:, :n_columns]
    columns = [values[j][codes[:, j].long()] for j in range(n_columns)]
    return torch.stack(columns, dim=1)


def rounded(table: Tensor, bits: int) -> Tensor:
    """Return the table as it is after :func:`pack` and :func:`unpack`."""
    return unpack(*pack(table, bits))


def packed(tensors: Mapping[str, Tensor], bits: Mapping[str, int]) -> dict[str, Tensor]:
    """Return named tensors, those in ``bits`` as their codes and values."""
    found = dict(tensors)
    for name in bits.keys() & tensors.keys():
        found[name + CODES], found[name + VALUES] = pack(found.pop(name), bits[name])
    return found


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return named tensors as :func:`packed` was given them; those that are not packed are left as they are.

    Raises
    ------
    ValueError
        A packed tensor's codes and values do not fit each other.
    """
    found = dict(tensors)
    for name in _packed_names(tensors):
        codes, values = found.pop(name + CODES), found.pop(name + VALUES)
        n_columns, n_values = values.shape if values.ndim == 2 else (0, 0)
        wanted = {16: (n_columns + 1) // 2, 256: n_columns}.get(n_values)
        if codes.dtype != torch.uint8 or codes.ndim != 2 or codes.shape[1] != wanted:
            raise ValueError(f"{name + CODES} and {name + VALUES} do not fit each other")
        found[name] = unpack(codes, values)
    return found


def _packed_names(tensors: Iterable[str]) -> list[str]:
    names = set(tensors)
    return [
        n.removesuffix(CODES) for n in names if n.endswith(CODES) and n.removesuffix(CODES) + VALUES in names
    ]


def _values(column: npt.NDArray[np.float32], n_values: int) -> npt.NDArray[np.float32]:
    """Return ascending numbers that the column's are near to; where fewer are needed the last one is repeated."""
    ordered = np.sort(column)
    distinct = (
        ordered[np.concatenate([[True], np.diff(ordered) > 0])] if len(ordered) else np.zeros(1, np.float32)
    )
    if len(distinct) <= n_values:
        return np.concatenate([distinct, np.full(n_values - len(distinct), distinct[-1])])
    sums = np.concatenate([[0], np.cumsum(ordered, dtype=np.float64)])
    by_rank = ordered[((np.arange(n_values) + 0.5) / n_values * len(ordered)).astype(int)]
    # half-way between equal numbers of entries and equal steps: a few large numbers matter too
    values = (by_rank + np.linspace(ordered[0], ordered[-1], n_values)) / 2
    for _ in range(_ROUNDS):
        edges = np.concatenate([[0], np.searchsorted(ordered, _middles(values)), [len(ordered)]])
        n = np.diff(edges)
        values = np.where(n > 0, np.diff(sums[edges]) / np.maximum(n, 1), values)
    return np.sort(values).astype(np.float32)


def _middles(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the numbers half-way between neighbouring values."""
    wide = values.astype(np.float64)
    return (wide[1:] + wide[:-1]) / 2
