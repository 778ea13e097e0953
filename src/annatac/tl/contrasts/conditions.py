"""What differs between groups of samples: the peaks of a type, and the shares of the types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import keys
from annatac.errors import LabelError, nearest
from annatac.genome.intervals import intervals_of
from annatac.pp.validate import validate_counts
from annatac.tl.contrasts.moderated import enough_counts, fit, size_factors, voom
from annatac.tl.contrasts.pseudobulks import group_sums
from annatac.tl.contrasts.replicates import Design, design_of, table_of_samples
from annatac.tl.groups import codes_of
from annatac.tl.rank_sums import false_discovery_rate

if TYPE_CHECKING:
    from anndata import AnnData


def differential(
    adata: AnnData,
    cell_type: str,
    *,
    condition_key: str,
    sample_key: str,
    groupby: str = keys.LABEL,
    conditions: tuple[str, str] | None = None,
    block_key: str | None = None,
    min_cells: int = 10,
    min_count: float = 10,
) -> pd.DataFrame:
    """Return how the peaks of one type differ between two conditions, with samples as replicates.

    The counts of the type's cells are added up by sample, and voom with moderated t compares the samples
    (Law et al. 2014; library sizes by the median of ratios, Anders and Huber 2010).

    Parameters
    ----------
    adata
        Cells x peaks, counts; backed works.
    cell_type
        The type to look at, a value of ``obs[groupby]``.
    condition_key, sample_key
        Columns of ``obs``: the condition, and the sample (one donor under one condition).
    groupby
        Column of ``obs`` with the types.
    conditions
        (reference, other); needed where there are more than two. Fold changes are other over reference.
    block_key
        Column of ``obs`` whose differences between samples are taken out: donors seen under both conditions
        (a paired design), or batches.
    min_cells
        Samples with fewer cells of the type are left out, with a warning.
    min_count
        Peaks with fewer counts, at the median library size, in as many samples as the smaller condition has
        are not tested.

    Returns
    -------
    DataFrame, one row a tested peak, the surest first: peak, chrom, start, end (where known),
    log2_fold_change, mean_log2_cpm, t, p_value, fdr (Benjamini and Hochberg). ``attrs``: conditions, samples
    of each, peaks tested.

    Raises
    ------
    LabelError
        A column, type or condition is missing; under two samples in a condition; a sample in both.
    InputError
        X holds no counts.
    """
    validate_counts(adata)
    types, names = codes_of(adata, groupby)
    if cell_type not in names:
        raise LabelError(
            f"No cell is '{cell_type}' in obs['{groupby}'].{nearest(cell_type, names)} There are: "
            f"{', '.join(names)}."
        )
    is_type = types == names.index(cell_type)
    samples = table_of_samples(adata, sample_key, condition_key, block_key)
    design = design_of(
        samples, _in_each(samples.code, is_type), conditions, min_cells, what=f"of '{cell_type}'"
    )
    group = np.where(is_type, samples.code, -1)
    counts = group_sums(adata, group, len(samples.names))[0][design.rows]
    library = size_factors(counts)
    tested = np.flatnonzero(enough_counts(counts, library, design.n_smallest, min_count=min_count))
    if len(tested) < 2:
        raise LabelError(
            f"{len(tested)} of {adata.n_vars:,} peaks have {min_count:g} counts in {design.n_smallest} samples of "
            f"'{cell_type}': too few to compare. Lower min_count, or count in wider bins."
        )
    y, weights = voom(counts[:, tested], library, design.matrix)
    result = fit(y, weights, design.matrix, 1)
    table = pd.DataFrame({"peak": adata.var_names[tested]})
    if (intervals := intervals_of(adata.var)) is not None:
        table = pd.concat([table, intervals.iloc[tested].reset_index(drop=True)], axis=1)
    table["log2_fold_change"] = result.effect
    table["mean_log2_cpm"] = y.mean(axis=0)
    table["t"], table["p_value"] = result.t, result.p_value
    table["fdr"] = false_discovery_rate(result.p_value)
    table = table.sort_values("p_value", kind="stable", ignore_index=True)
    table.attrs = {"cell_type": cell_type, "n_tested": len(tested), **_facts(design)}
    return table


def composition(
    adata: AnnData,
    groupby: str = keys.LABEL,
    *,
    condition_key: str,
    sample_key: str,
    conditions: tuple[str, str] | None = None,
    block_key: str | None = None,
    min_cells: int = 100,
) -> pd.DataFrame:
    """Return how the shares of the types differ between two conditions, with samples as replicates.

    The logit of each type's share in a sample, compared by moderated t: propeller (Phipson et al. 2022).

    Parameters
    ----------
    adata
        Cells, with their types in ``obs[groupby]``; X is not looked at.
    groupby, condition_key, sample_key, conditions, block_key
        As :func:`differential`.
    min_cells
        Samples with fewer cells in all are left out, with a warning.

    Returns
    -------
    DataFrame, one row a type: cell_type, share_reference, share_other (means over samples),
    log2_odds_ratio (other over reference), t, p_value, fdr, n_cells.
    ``attrs``: conditions, samples of each.

    Raises
    ------
    LabelError
        As :func:`differential`, or fewer than two types.

    Notes
    -----
    Shares sum to 1: where one type grows, the others shrink. A fall seen beside one large rise may be no
    fall at all.
    """
    types, names = codes_of(adata, groupby)
    if len(names) < 2:
        raise LabelError(
            f"All cells are '{names[0]}' in obs['{groupby}']: there is no composition to compare."
        )
    samples = table_of_samples(adata, sample_key, condition_key, block_key)
    known = (types >= 0) & (samples.code >= 0)
    cells = np.zeros((len(samples.names), len(names)))
    np.add.at(cells, (samples.code[known], types[known]), 1)
    design = design_of(samples, cells.sum(axis=1), conditions, min_cells, what="in all")
    cells = cells[design.rows]
    share = cells / cells.sum(axis=1, keepdims=True)
    raised = (cells + 0.5) / (cells + 0.5).sum(axis=1, keepdims=True)
    result = fit(np.log(raised / (1 - raised)), None, design.matrix, 1)
    other = design.matrix[:, 1] == 1
    table = pd.DataFrame(
        {
            "cell_type": names,
            "share_reference": share[~other].mean(axis=0),
            "share_other": share[other].mean(axis=0),
            "log2_odds_ratio": result.effect / np.log(2),
            "t": result.t,
            "p_value": result.p_value,
            "fdr": false_discovery_rate(result.p_value),
            "n_cells": cells.sum(axis=0).astype(np.int64),
        }
    )
    table.attrs = _facts(design)
    return table


def _in_each(sample: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    return np.bincount(sample[chosen & (sample >= 0)], minlength=int(sample.max()) + 1)


def _facts(design: Design) -> dict[str, object]:
    return {"conditions": list(design.conditions), "n_samples": list(design.n_samples)}
