"""Where the cells of a report lie on its map."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from annatac import keys
from annatac.errors import AnnatacWarning, MissingDependencyError

if TYPE_CHECKING:
    from anndata import AnnData

MAP = "X_umap"


class Layout(NamedTuple):
    """``xy``: float32 (n, 2), or None; ``origin``: how it came about, in words."""

    xy: npt.NDArray[np.float32] | None
    origin: str


def layout_of(adata: AnnData, *, seed: int = 0) -> Layout:
    """Return the cells' UMAP, computed from the model's embedding where ``obsm['X_umap']`` is missing.

    Warns
    -----
    AnnatacWarning
        It cannot be computed: scanpy is not installed.
    """
    if MAP in adata.obsm:
        xy = np.asarray(adata.obsm[MAP], dtype=np.float32)[:, :2]
        if np.isfinite(xy).all():
            return Layout(xy, "UMAP as stored with the cells")
        return Layout(None, "The stored UMAP has values that are not finite: run `annatac embed` again.")
    n_neighbors = min(15, adata.n_obs - 1)
    if keys.EMBEDDING not in adata.obsm or n_neighbors < 2:
        return Layout(
            None, "There is no embedding to lay out: annotate the cells again, then `annatac embed`."
        )
    from anndata import AnnData as InMemory

    from annatac.tl.embedding import embed

    cells = InMemory(obs=adata.obs[[]].copy(), obsm={keys.EMBEDDING: np.asarray(adata.obsm[keys.EMBEDDING])})
    try:
        embed(cells, n_neighbors=n_neighbors, seed=seed)
    except MissingDependencyError as error:
        warnings.warn(f"The report has no UMAP: {error}", AnnatacWarning, stacklevel=3)
        return Layout(None, str(error))
    xy = np.asarray(cells.obsm[MAP], dtype=np.float32)
    return Layout(xy, f"UMAP of the model's embedding, {n_neighbors} neighbours, seed {seed}")
