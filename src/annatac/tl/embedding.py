"""Neighbours, UMAP, t-SNE and clusters of the cells in the model's space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from annatac import keys
from annatac.errors import ConfigError, InputError, MissingDependencyError

if TYPE_CHECKING:
    from anndata import AnnData


def embed(
    adata: AnnData,
    *,
    use_rep: str = keys.EMBEDDING,
    n_neighbors: int = 15,
    leiden_resolution: float | None = None,
    tsne: bool = False,
    perplexity: float = 30.0,
    seed: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Write a UMAP of the cells, computed by scanpy from the model's embedding.

    Parameters
    ----------
    adata
        Cells with ``obsm[use_rep]`` (float, cells x width), as ``annatac.tl.annotate`` leaves them.
    use_rep
        The slot of ``obsm`` to start from.
    n_neighbors
        Neighbours of a cell, 2 up to one less than the number of cells.
    leiden_resolution
        Also cluster the neighbour graph by Leiden at this resolution; no clustering otherwise.
    tsne
        Also lay the cells out by t-SNE.
    perplexity
        Of t-SNE; less than the number of cells.
    seed
        Seed of the neighbour search, the layout and the clustering.
    copy
        Return a changed copy instead of writing into ``adata``.

    Returns
    -------
    None, or the copy. Written: ``obsm['X_umap']`` (float32, cells x 2), ``obsp['distances']``,
    ``obsp['connectivities']``, ``uns['neighbors']``, ``uns['umap']``; with ``leiden_resolution`` also
    ``obs['leiden']`` and ``uns['leiden']``, with ``tsne`` ``obsm['X_tsne']`` and ``uns['tsne']``.

    Raises
    ------
    InputError
        ``obsm[use_rep]`` is missing or has values that are not finite.
    ConfigError
        ``n_neighbors`` or ``perplexity`` does not fit the number of cells.
    MissingDependencyError
        scanpy is not installed.
    """
    space_of(adata, use_rep)
    if not 2 <= n_neighbors < adata.n_obs:
        raise ConfigError(
            f"n_neighbors is {n_neighbors}, for {adata.n_obs} cells; expected 2 to {adata.n_obs - 1}."
        )
    if tsne and not 1 < perplexity < adata.n_obs:
        raise ConfigError(
            f"perplexity is {perplexity}, for {adata.n_obs} cells; expected more than 1 and less than the cells."
        )
    try:
        import scanpy as sc
    except ImportError as error:
        raise MissingDependencyError(
            "A UMAP needs scanpy, which is not installed. Install it with: pip install 'annatac[plot]'"
        ) from error
    adata = adata.copy() if copy else adata
    sc.pp.neighbors(adata, n_neighbors=n_neighbors, use_rep=use_rep, random_state=seed)
    sc.tl.umap(adata, random_state=seed)
    if leiden_resolution is not None:
        sc.tl.leiden(
            adata,
            resolution=leiden_resolution,
            random_state=seed,
            flavor="igraph",
            n_iterations=2,
            directed=False,
        )
    if tsne:
        sc.tl.tsne(adata, use_rep=use_rep, perplexity=perplexity, random_state=seed)
    return adata if copy else None


def space_of(adata: AnnData, use_rep: str) -> npt.NDArray[np.floating]:
    """Return the places of the cells, ``obsm[use_rep]``.

    Raises
    ------
    InputError
        It is missing or has values that are not finite.
    """
    if use_rep not in adata.obsm:
        raise InputError(
            f"obsm['{use_rep}'] is missing; obsm has: {', '.join(adata.obsm) or 'nothing'}. "
            "Annotate the cells first (`annatac annotate`), or, in Python, name another slot with use_rep."
        )
    space = np.asarray(adata.obsm[use_rep])
    if not np.isfinite(space).all():
        raise InputError(f"obsm['{use_rep}'] has values that are not finite: annotate the cells again.")
    return space
