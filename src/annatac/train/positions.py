"""The position embedding: each island's TruncatedSVD vector over the training cells, or over bulk profiles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from annatac.corpus.cells import Cells
from annatac.corpus.selection import as_matrix
from annatac.train.distributed import from_first

SVD_TOKENS = 2**25  # open islands that the SVD is taken of at the most: about 0.5 GB of memory


def inverse_document_frequency(tokens: sp.csr_matrix) -> npt.NDArray[np.float32]:
    """Return log(1 + cells / (1 + cells with the island open)), (L,) float32."""
    n_open = np.bincount(tokens.indices, minlength=tokens.shape[1])
    return np.log(1 + tokens.shape[0] / (1 + n_open)).astype(np.float32)


def tf_idf(tokens: sp.csr_matrix, idf: npt.NDArray[np.float32]) -> sp.csr_matrix:
    """Return binary tokens times idf, rows of unit length, float32 CSR."""
    weighted = sp.csr_matrix((idf[tokens.indices], tokens.indices, tokens.indptr), shape=tokens.shape)
    return normalize(weighted, copy=False)


def svd_positions(tokens: sp.csr_matrix, n_dimensions: int, seed: int) -> npt.NDArray[np.float32]:
    """Return the island vectors (L, n_dimensions), float32: right singular vectors of the TF-IDF matrix.

    Scaled to a root mean square of one an entry. Where there are fewer cells or islands than
    dimensions, the missing ones are zero.

    Notes
    -----
    The paper takes the SVD of the pre-training matrix without naming a weighting; TF-IDF is ours.
    """
    n_cells, n_islands = tokens.shape
    vectors = np.zeros((n_islands, n_dimensions), dtype=np.float32)
    rank = min(n_dimensions, n_cells, n_islands)
    weighted = tf_idf(tokens, inverse_document_frequency(tokens))
    _, _, components = randomized_svd(weighted, rank, n_iter=4, random_state=seed)
    vectors[:, :rank] = components.T * np.sqrt(n_islands)
    return vectors


def island_positions(cells: Cells, n_dimensions: int, seed: int) -> npt.NDArray[np.float32]:
    """Return the island vectors (n_islands, n_dimensions) of cells in memory or on disk, see :func:`svd_positions`.

    Where the cells have more than ``SVD_TOKENS`` open islands, the SVD is taken of a random sample of them.
    Of several processes the first one computes it.
    """

    def compute() -> dict[str, torch.Tensor]:
        rows = np.arange(cells.n_cells)
        n_tokens = int(cells.n_open.sum(dtype=np.int64))
        if n_tokens > SVD_TOKENS:
            n_sampled = max(1, cells.n_cells * SVD_TOKENS // n_tokens)
            rows = np.sort(np.random.default_rng([seed, 0x5BD]).permutation(rows)[:n_sampled])
        return {"vectors": torch.from_numpy(svd_positions(as_matrix(cells, rows), n_dimensions, seed))}

    return from_first(compute)["vectors"].numpy()


def profile_positions(
    levels: npt.NDArray[np.floating], groups: npt.NDArray[np.generic], n_dimensions: int
) -> npt.NDArray[np.float32]:
    """Return the island vectors (L, n_dimensions), float32, of bulk profiles: SVD of their log-ratios.

    Parameters
    ----------
    levels
        (L, T), signal of T profiles at L islands, not negative.
    groups
        (T,), assay or study of each profile. Ratios are taken within a group, and each group counts alike.

    Notes
    -----
    Each profile is brought to a mean of one, log(level + 1) centred over the group's profiles and over the
    islands. Columns keep their singular values' proportions; the root mean square of all entries is one.
    In cells drawn from the profiles TF-IDF follows openness first, and what sets rare types apart later.
    """
    blocks = []
    for group in np.unique(groups):
        block = levels[:, groups == group].astype(np.float32)
        block = np.log1p(block / np.maximum(block.mean(0), 1e-12))
        block -= block.mean(1, keepdims=True)
        block -= block.mean(0)
        blocks.append(block / max(float(np.linalg.norm(block)), 1e-12))
    ratios = np.concatenate(blocks, axis=1)
    values, vectors = np.linalg.eigh(ratios.T.astype(np.float64) @ ratios)
    rank = min(n_dimensions, len(values))
    order = np.argsort(-values)[:rank]
    found = np.zeros((len(levels), n_dimensions), dtype=np.float32)
    found[:, :rank] = ratios @ vectors[:, order]
    return found / max(float(np.sqrt((found**2).mean())), 1e-12)
