"""Counts of cells added up by type, and by sample."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError, InputError, LabelError, nearest
from annatac.genome.intervals import intervals_of
from annatac.io.atomic import atomic_path
from annatac.pp.counts import in_chunks, opened
from annatac.pp.validate import validate_counts
from annatac.tl.groups import codes_of, large_groups

if TYPE_CHECKING:
    from anndata import AnnData

SHARE = "share_open"  # layer
CELL_TYPE, N_CELLS, N_COUNTS = "cell_type", "n_cells", "n_counts"  # obs


def pseudobulk(
    adata: AnnData,
    groupby: str = keys.LABEL,
    *,
    sample_key: str | None = None,
    min_cells: int = 10,
) -> AnnData:
    """Return the counts of all cells of each type, or of each type in each sample.

    Parameters
    ----------
    adata
        Cells x peaks, counts; backed works, and is read in chunks.
    groupby
        Column of ``obs`` with the types.
    sample_key
        Column of ``obs`` with the samples or donors: one row a type and sample then.
    min_cells
        Groups of fewer cells are left out, with a warning.

    Returns
    -------
    AnnData, groups x peaks: ``X`` float64 (sums of counts), ``layers['share_open']`` float32 (share of the
    group's cells in which the peak is open), ``obs`` ``cell_type``, ``sample`` (with ``sample_key``),
    ``n_cells``, ``n_counts``; ``var`` as of ``adata``; ``uns['genome']`` where known.

    Raises
    ------
    LabelError
        A column is missing, or no group has ``min_cells`` cells.
    InputError
        X holds no counts.
    """
    import anndata

    validate_counts(adata)
    codes, names = codes_of(adata, groupby)
    if sample_key is None:
        large = large_groups(codes, names, min_cells, key=groupby)
        obs = pd.DataFrame({CELL_TYPE: pd.Categorical([names[i] for i in large], categories=names)})
        obs.index = obs[CELL_TYPE].astype(str).to_numpy()
        group = codes
        n_groups = len(names)
    else:
        sample, sample_names = codes_of(adata, sample_key)
        group = np.where((codes >= 0) & (sample >= 0), codes * len(sample_names) + sample, -1)
        n_groups = len(names) * len(sample_names)
        n_cells = np.bincount(group[group >= 0], minlength=n_groups)
        large = np.flatnonzero(n_cells >= min_cells).tolist()
        if not large:
            raise LabelError(
                f"No type has {min_cells} cells in any sample of obs['{sample_key}']; the most is "
                f"{n_cells.max()}. Lower min_cells, or merge types."
            )
        if n_small := int(((n_cells > 0) & (n_cells < min_cells)).sum()):
            warnings.warn(
                f"{n_small} of {n_small + len(large)} groups of a type and sample have under {min_cells} cells and are "
                "left out.",
                AnnatacWarning,
                stacklevel=2,
            )
        of_type, of_sample = np.divmod(np.array(large), len(sample_names))
        obs = pd.DataFrame(
            {
                CELL_TYPE: pd.Categorical.from_codes(of_type, names),
                keys.SAMPLE: pd.Categorical.from_codes(of_sample, sample_names),
            },
            index=[f"{sample_names[s]}:{names[t]}" for t, s in zip(of_type, of_sample, strict=True)],
        )
    sums, n_open = group_sums(adata, group, n_groups)
    n_cells = np.bincount(group[group >= 0], minlength=n_groups)[large]
    obs[N_CELLS] = n_cells
    obs[N_COUNTS] = sums[large].sum(axis=1)
    result = anndata.AnnData(
        X=sums[large],
        obs=obs,
        var=adata.var.copy(),
        layers={SHARE: (n_open[large] / n_cells[:, None]).astype(np.float32)},
    )
    if keys.GENOME in adata.uns:
        result.uns[keys.GENOME] = adata.uns[keys.GENOME]
    return result


def group_sums(
    adata: AnnData, group: npt.NDArray[np.int64], n_groups: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the counts and the open cells of each group (-1: none), groups x features."""
    sums = np.zeros((n_groups, adata.n_vars))
    n_open = np.zeros((n_groups, adata.n_vars))
    first = 0
    for x in in_chunks(adata.X, n_rows=10_000):
        mine = group[first : first + x.shape[0]]
        rows = np.flatnonzero(mine >= 0)
        belongs = sp.csr_matrix((np.ones(len(rows)), (mine[rows], rows)), shape=(n_groups, x.shape[0]))
        sums += (belongs @ x).toarray()
        n_open += (belongs @ opened(x)).toarray()
        first += x.shape[0]
    return sums, n_open


def write_open_peaks(
    bulks: AnnData, path: str | Path, *, group: str | None = None, min_share: float = 0.05
) -> Path:
    """Write the peaks that are open in at least ``min_share`` of a group's cells as BED6, whole or not at all.

    Parameters
    ----------
    bulks
        What :func:`pseudobulk` returned.
    path
        File to write. Name is the group (spaces become underscores), score 1000 x the share of cells.
    group
        A name of ``bulks.obs_names``; all groups otherwise, sorted by position.

    Raises
    ------
    InputError
        The features have no coordinates.
    LabelError
        No such group.
    ConfigError
        ``min_share`` is not between 0 and 1.
    """
    if not 0 < min_share <= 1:
        raise ConfigError(f"min_share is {min_share}; expected more than 0 and at most 1.")
    intervals = intervals_of(bulks.var)
    if intervals is None:
        raise InputError(
            f"The features have no coordinates (the first is '{bulks.var_names[0]}'): no BED can be written."
        )
    names = [str(name) for name in bulks.obs_names]
    if group is not None and group not in names:
        raise LabelError(f"No group '{group}'.{nearest(group, names)} There are: {', '.join(names)}.")
    parts = []
    for row in range(bulks.n_obs) if group is None else [names.index(group)]:
        share = np.asarray(bulks.layers[SHARE][row])
        chosen = np.flatnonzero(share >= min_share)
        bed = intervals.iloc[chosen].copy()
        bed["name"] = "_".join(names[row].split())
        bed["score"] = np.round(1000 * share[chosen]).astype(int)
        parts.append(bed.assign(strand="."))
    bed = pd.concat(parts).sort_values(["chrom", "start", "end"], kind="stable")
    with atomic_path(path) as temporary:
        bed.to_csv(temporary, sep="\t", header=False, index=False)
    return Path(path)
