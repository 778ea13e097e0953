"""Cells of the benchmark as log-normalised gene scores, for methods that need genes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from annatac import datasets
from annatac.errors import InputError
from annatac.pp.gene_activity import gene_scores

if TYPE_CHECKING:
    from anndata import AnnData


def log_gene_scores(adata: AnnData, genes: pd.DataFrame | None = None) -> tuple[sp.csr_matrix, list[str]]:
    """Return log(1 + gene scores scaled to 10,000 a cell), float32 CSR, and the genes' symbols.

    Parameters
    ----------
    genes
        Table of genes; otherwise that of the assembly in ``uns['genome']``, from :mod:`annatac.datasets`.

    Raises
    ------
    InputError, MissingFileError
        The assembly is not stated or its genes are not among the data sets; or they are not on this machine.
    """
    scores = gene_scores(adata, genes_of(str(adata.uns.get("genome", ""))) if genes is None else genes)
    x = sp.csr_matrix(scores.X)
    x.data = np.log1p(x.data)
    return x, [str(name) for name in scores.var_names]


@cache
def genes_of(genome: str) -> pd.DataFrame:
    """Return the genes of an assembly, from :mod:`annatac.datasets`; errors as in :func:`log_gene_scores`."""
    name = f"{genome}_genes"
    if name not in datasets.names():
        raise InputError(
            f"This method works on gene scores; uns['genome'] is '{genome}', for which there is no table of genes. "
            f"Known are: {', '.join(one.removesuffix('_genes') for one in datasets.names() if one.endswith('_genes'))}."
        )
    table: pd.DataFrame = datasets.load(name)
    return table
