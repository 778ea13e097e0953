"""The position embedding: each island's TruncatedSVD vector over the training cells, or over bulk profiles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

Floats = npt.NDArray[np.float32]


def idf_of(n_open: npt.NDArray[np.integer], n_cells: int) -> Floats:
    """Return the inverse document frequency, (L,) float32, from the number of cells in which each island is open."""
    return np.log(1 + n_cells / (1 + n_open)).astype(np.float32)


def inverse_document_frequency(tokens: sp.csr_matrix) -> Floats:
    """Return log(1 + cells / (1 + cells with the island open)), (L,) float32."""
    return idf_of(np.bincount(tokens.indices, minlength=tokens.shape[1]), tokens.shape[0])


def tf_idf(tokens: sp.csr_matrix, idf: Floats) -> sp.csr_matrix:
    """Return binary tokens times idf, rows of unit length, float32 CSR."""
    weighted = sp.csr_matrix((idf[tokens.indices], tokens.indices, tokens.indptr), shape=tokens.shape)
    return normalize(weighted, copy=False)


def svd_positions(tokens: sp.csr_matrix, n_dimensions: int, seed: int) -> Floats:
    """Return the island vectors (L, n_dimensions), float32: right singular vectors of the TF-IDF matrix.

    Scaled to a root mean square of one an entry. Where there are fewer cells or islands than
    dimensions, the missing ones are zero.

    Notes
    -----
    The paper takes the SVD of the pre-training matrix without naming a weighting; TF-IDF is ours.
    """
    weighted = tf_idf(tokens, inverse_document_frequency(tokens))
    return scaled(leading_vectors(weighted, n_dimensions, seed), n_dimensions)


def leading_vectors(weighted: sp.csr_matrix, n_vectors: int, seed: int) -> Floats:
    """Return the first right singular vectors of a matrix in memory, (L, n_vectors), or as many as there are."""
    _, _, components = randomized_svd(weighted, min(n_vectors, *weighted.shape), n_iter=4, random_state=seed)
    return np.ascontiguousarray(components.T, dtype=np.float32)


def scaled(vectors: Floats, n_dimensions: int) -> Floats:
    """Return unit vectors (L, up to n_dimensions) with a root mean square of one, the missing columns zero."""
    found = np.zeros((len(vectors), n_dimensions), dtype=np.float32)
    found[:, : vectors.shape[1]] = vectors * np.sqrt(len(vectors))
    return found


def profile_positions(
    levels: npt.NDArray[np.floating], groups: npt.NDArray[np.generic], n_dimensions: int
) -> Floats:
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
