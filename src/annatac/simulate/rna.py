"""RNA counts made up for cells of which only the ATAC is known: pairs to test label transfer on, nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from annatac.errors import ConfigError
from annatac.pp.gene_activity import gene_scores

if TYPE_CHECKING:
    from pathlib import Path

_SPREAD = 1.5  # sd of the logarithm of a gene's own level, which its accessibility says nothing of
_ENTRIES = 2**24  # of a dense block


def simulate_rna(
    adata: AnnData,
    genes: str | Path | pd.DataFrame,
    *,
    label_key: str = "cell_type",
    n_cells: int | None = None,
    linked: float = 0.5,
    noise: float = 0.5,
    effect: float = 0.7,
    median_counts: float = 4_000.0,
    seed: int = 0,
) -> AnnData:
    """Return made-up RNA counts of cells of the same types as labelled ATAC cells.

    The mean log gene score of a type, standardised over the types, moves the expression of ``linked`` of the genes by
    ``effect`` natural logarithms a standard deviation; every gene has a level of its own and every gene and type a
    normal deviation of sd ``noise``, neither of which the ATAC tells. Counts are Poisson, depths log-normal (sd 0.4).

    Parameters
    ----------
    adata
        Cells x peaks, counts, with types in ``obs[label_key]``.
    genes
        As in :func:`annatac.pp.gene_scores`.
    n_cells
        Cells to draw, of types as often as in ``adata``; as many as it has otherwise.
    linked
        Share of genes whose expression follows their accessibility, 0 to 1.

    Returns
    -------
    AnnData of cells x genes: X int32 CSR, ``obs[label_key]``, ``obs_names`` ``rna1`` and so on.

    Raises
    ------
    ConfigError, InputError, OverlapError
        A setting out of range; as :func:`annatac.pp.gene_scores`.
    """
    if not 0 <= linked <= 1 or noise < 0 or median_counts <= 0:
        raise ConfigError(
            f"linked is {linked}, noise {noise}, median_counts {median_counts}; expected 0 to 1, 0 or more, over 0."
        )
    random = np.random.default_rng([seed, 0x12A])
    scores = gene_scores(adata, genes)
    x = sp.csr_matrix(scores.X)
    x.data = np.log1p(x.data)
    labels = adata.obs[label_key].astype(str).to_numpy(dtype=object)
    names, codes = np.unique(labels, return_inverse=True)
    mean = np.array([np.asarray(x[codes == k].mean(axis=0)).ravel() for k in range(len(names))])
    sd = mean.std(axis=0)
    z = np.divide(mean - mean.mean(axis=0), sd, out=np.zeros_like(mean), where=sd > 1e-9)
    follows = random.random(mean.shape[1]) < linked
    level = (
        random.normal(0, _SPREAD, mean.shape[1]) + effect * follows * z + random.normal(0, noise, mean.shape)
    )
    share = np.exp(level - level.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    drawn = random.choice(codes, n_cells or len(codes))
    depth = median_counts * np.exp(random.normal(0, 0.4, len(drawn)))
    counts = _poisson(share, drawn, depth, random)
    obs = pd.DataFrame({label_key: names[drawn]}, index=[f"rna{i + 1}" for i in range(len(drawn))])
    var = scores.var[["chrom", "start", "end", "strand"]].copy()
    return AnnData(counts, obs=obs, var=var, uns={"simulated": "RNA counts made up from gene scores"})


def _poisson(
    share: npt.NDArray[np.float64],
    drawn: npt.NDArray[np.int64],
    depth: npt.NDArray[np.float64],
    random: np.random.Generator,
) -> sp.csr_matrix:
    n_rows = max(1, _ENTRIES // share.shape[1])
    parts = [
        sp.csr_matrix(
            random.poisson(depth[i : i + n_rows, None] * share[drawn[i : i + n_rows]]).astype(np.int32)
        )
        for i in range(0, len(drawn), n_rows)
    ]
    return sp.vstack(parts, format="csr")
