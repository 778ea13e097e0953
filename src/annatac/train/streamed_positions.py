"""Island vectors of more cells than memory holds: a truncated SVD of cells that are read part by part.

With A the TF-IDF matrix of cells x islands, its right singular vectors span what A^T A stretches most. A^T (A Q) is a
sum over the cells: it is read off one part of them after the other, and Q (islands x some forty) is all that stays.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch

from annatac.corpus.cells import Cells
from annatac.corpus.selection import as_matrix, runs
from annatac.train.distributed import from_first, rank, sum_over, world_size
from annatac.train.positions import Floats, idf_of, leading_vectors, scaled, svd_positions, tf_idf

SVD_TOKENS = 2**25  # open islands that the SVD holds in memory at the most: about 0.5 GB
SPARE = 10  # vectors that are refined beside those asked for, so that the last of these come out right too
N_READINGS = 4


def island_positions(cells: Cells, n_dimensions: int, seed: int) -> Floats:
    """Return the island vectors (n_islands, n_dimensions) of cells in memory or on disk, as ``svd_positions``.

    Cells of more than ``SVD_TOKENS`` open islands are not held in memory: the vectors of a random sample of that
    size are where :func:`refined` starts, which reads all cells a few times. Of several processes each reads a
    share of them.
    """
    n_tokens = int(cells.n_open.sum(dtype=np.int64))
    rows = np.arange(cells.n_cells)
    if n_tokens <= SVD_TOKENS:
        found = from_first(
            lambda: {"vectors": torch.from_numpy(svd_positions(as_matrix(cells, rows), n_dimensions, seed))}
        )
        return np.asarray(found["vectors"])
    n_sampled = max(1, cells.n_cells * SVD_TOKENS // n_tokens)
    sample = np.sort(np.random.default_rng([seed, 0x5BD]).permutation(rows)[:n_sampled])
    idf = streamed_idf(cells)

    def of_sample() -> dict[str, torch.Tensor]:
        weighted = tf_idf(as_matrix(cells, sample), idf)
        return {"vectors": torch.from_numpy(leading_vectors(weighted, n_dimensions + SPARE, seed))}

    start = np.asarray(from_first(of_sample)["vectors"])
    return scaled(refined(cells, idf, start)[:, :n_dimensions], n_dimensions)


def streamed_idf(cells: Cells) -> Floats:
    """Return the inverse document frequency of each island over all cells, (L,) float32, after one reading."""
    n_open = torch.zeros(cells.n_islands, dtype=torch.int64)
    for part in _parts(cells):
        n_open += torch.from_numpy(np.bincount(part.indices, minlength=cells.n_islands))
    return idf_of(sum_over(n_open).numpy(), cells.n_cells)


def refined(cells: Cells, idf: Floats, start: Floats, *, n_readings: int = N_READINGS) -> Floats:
    """Return the leading right singular vectors of all cells' TF-IDF matrix, the strongest first.

    Parameters
    ----------
    cells
        In memory or on disk; each of several processes reads its share.
    start
        float32 (L, r), columns that span roughly what is looked for, such as the vectors of a sample.
    n_readings
        Readings of all cells. Each shrinks what is wrong with a vector by the square of the ratio of singular
        values, that of the first vector left out to its own (subspace iteration: Halko, Martinsson and Tropp 2011,
        algorithm 4.4).

    Returns
    -------
    float32 (L, r), orthonormal columns; the largest entry of each is positive.
    """
    basis, _ = np.linalg.qr(start.astype(np.float64))
    for _ in range(n_readings):
        stretched = torch.zeros(basis.shape, dtype=torch.float64)
        narrow = np.ascontiguousarray(basis, dtype=np.float32)
        for part in _parts(cells):
            weighted = tf_idf(part, idf)
            stretched += torch.from_numpy(weighted.T @ (weighted @ narrow))
        basis, _, _ = np.linalg.svd(sum_over(stretched).numpy(), full_matrices=False)
    largest = basis[np.abs(basis).argmax(0), np.arange(basis.shape[1])]
    return (basis * np.where(largest < 0, -1.0, 1.0)).astype(np.float32)


def _parts(cells: Cells) -> Iterator[sp.csr_matrix]:
    """Yield this process's share of the cells, some at a time."""
    for rows in runs(cells.n_open)[rank() :: world_size()]:
        yield as_matrix(cells, rows)
