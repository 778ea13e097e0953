"""What a model keeps of its reference: a profile of each type and a sample of tokens."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from annatac.model.artifact import PROFILES
from annatac.model.packing import rounded, table_bits
from annatac.pp.counts import open_counts

MAX_CELLS_PER_TYPE = 100
MAX_OPEN = 200_000  # open islands of all cells that are kept: 1 MB


def reference_tensors(
    tokens: sp.csr_matrix, labels: npt.NDArray[np.int64], n_types: int, seed: int
) -> dict[str, Tensor]:
    """Return profiles and a class-balanced sample of the reference.

    Returns
    -------
    ``profiles`` float32 (C, L): share of the type's cells in which an island is open, rounded as it is stored;
    ``n_cells`` int64 (C,); and as CSR up to 100 cells a type, of deep cells fewer: no more than 200,000 open islands
    in all, but a cell a type. ``sample_indptr`` int64, ``sample_islands`` int32, ``sample_classes`` uint8,
    ``sample_labels`` int64.
    """
    n_cells = np.bincount(labels, minlength=n_types)
    shares = open_counts(tokens, labels, n_types) / np.maximum(n_cells, 1)[:, None]
    random = np.random.default_rng([seed, 0x5A3B])
    n_open, most = np.diff(tokens.indptr), MAX_OPEN // n_types
    chosen = []
    for k in range(n_types):
        drawn = random.permutation(np.flatnonzero(labels == k))[:MAX_CELLS_PER_TYPE]
        n_fitting = int(np.searchsorted(np.cumsum(n_open[drawn]), most, side="right"))
        chosen.append(drawn[: max(1, n_fitting)])
    rows = np.sort(np.concatenate(chosen))
    sample = tokens[rows]
    return {
        PROFILES: rounded(torch.from_numpy(shares.T), table_bits(tokens.shape[1])).T.contiguous(),
        "n_cells": torch.from_numpy(n_cells.astype(np.int64)),
        "sample_indptr": torch.from_numpy(sample.indptr.astype(np.int64)),
        "sample_islands": torch.from_numpy(sample.indices.astype(np.int32)),
        "sample_classes": torch.from_numpy(sample.data.astype(np.uint8)),
        "sample_labels": torch.from_numpy(labels[rows].astype(np.int64)),
    }
