"""How much each cell shows: open islands, and a flag for those that show too little."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from annatac import keys
from annatac.errors import ConfigError
from annatac.pp.counts import in_chunks

if TYPE_CHECKING:
    from anndata import AnnData

# perf/open_islands.py: at 20 open islands a cell keeps about two thirds of the accuracy that its full depth
# gives; at 5 the most frequent type alone is nearly as good a guess.
MIN_OPEN = 20
MIN_OPEN_TO_CALL = 5


def qc(adata: AnnData, *, min_open: int = MIN_OPEN, copy: bool = False) -> AnnData | None:
    """Count every cell's open islands and flag the cells under a floor; none is dropped.

    Parameters
    ----------
    adata
        Cells x islands (or peaks); X dense, sparse or backed.
    min_open
        Open islands that a cell needs.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    None, or the copy. Slots: ``obs['annatac_n_open']`` (int32), ``obs['annatac_low_quality']`` (bool).
    """
    if min_open < 0:
        raise ConfigError(f"min_open is {min_open}; expected 0 or more open islands.")
    if copy:
        adata = adata.to_memory() if adata.isbacked else adata.copy()
    parts = [np.diff(x.indptr) for x in in_chunks(adata.X)]
    n_open = np.concatenate(parts)[: adata.n_obs].astype(np.int32)
    adata.obs[keys.N_OPEN] = n_open
    adata.obs[keys.LOW_QUALITY] = n_open < min_open
    return adata if copy else None
