"""Cells by what is open in them, without a model: LSI, and Leiden clusters of the neighbour graph."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from annatac.errors import MissingDependencyError
from annatac.train.positions import inverse_document_frequency, tf_idf

N_COMPONENTS = 30
MAX_CELLS_FITTED = 20_000


def lsi(counts: sp.csr_matrix, *, n_components: int = N_COMPONENTS, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return each cell's place in the latent semantic space of what is open: TF-IDF, then truncated SVD.

    Parameters
    ----------
    counts
        CSR, cells x features; anything over 0 is open.
    n_components
        Dimensions, as far as there are so many cells and features.

    Returns
    -------
    float32 (cells, dimensions), rows of unit length (0 for a cell without an open feature). The first
    component follows a cell's depth and is left out, as is the custom (Signac, ArchR). Of more than 20,000
    cells the components are those of a random choice of so many.
    """
    random = np.random.default_rng([seed, 0x151])
    n_cells = counts.shape[0]
    fitted = np.arange(n_cells)
    if n_cells > MAX_CELLS_FITTED:
        fitted = np.sort(random.choice(n_cells, MAX_CELLS_FITTED, replace=False))
    is_open = sp.csr_matrix((counts.data > 0, counts.indices, counts.indptr), counts.shape)
    is_open.eliminate_zeros()
    idf = inverse_document_frequency(is_open[fitted])
    weighted = tf_idf(is_open, idf)
    rank = min(n_components + 1, len(fitted), counts.shape[1])
    _, _, components = randomized_svd(weighted[fitted], rank, n_iter=4, random_state=seed)
    places = np.asarray(weighted @ components[1 if rank > 1 else 0 :].T, dtype=np.float32)
    return normalize(places, copy=False)


def leiden(
    places: npt.NDArray[np.float32], *, resolution: float, n_neighbors: int = 15, seed: int = 0
) -> npt.NDArray[np.int64]:
    """Return the number of each cell's Leiden cluster (int64, the largest is 0), by scanpy.

    Parameters
    ----------
    places
        float32 (cells, dimensions), at least 3 cells.
    resolution
        Higher makes more, smaller clusters.
    n_neighbors
        Neighbours of a cell in the graph, at most all others.

    Raises
    ------
    MissingDependencyError
        scanpy, or the Leiden algorithm (leidenalg with igraph), is not installed.
    """
    try:
        import igraph  # noqa: F401
        import scanpy as sc
    except ImportError as error:
        raise MissingDependencyError(
            f"Leiden clusters need scanpy and leidenalg (with igraph); {error.name} is not installed. Install "
            "them with: pip install 'annatac[plot]'"
        ) from error
    from anndata import AnnData

    graph = AnnData(obsm={"places": places})
    neighbours = min(n_neighbors, len(places) - 1)
    sc.pp.neighbors(graph, n_neighbors=neighbours, use_rep="places", random_state=seed)
    sc.tl.leiden(
        graph, resolution=resolution, random_state=seed, flavor="igraph", n_iterations=-1, directed=False
    )
    found = graph.obs["leiden"].cat.codes.to_numpy(dtype=np.int64)
    by_size = np.argsort(-np.bincount(found), kind="stable")
    return np.argsort(by_size)[found]
