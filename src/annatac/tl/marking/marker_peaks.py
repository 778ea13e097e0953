"""Peaks that tell a type's cells from others of the same depth."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError, InputError, LabelError, nearest
from annatac.genome.intervals import intervals_of
from annatac.genome.nearest import nearest_genes
from annatac.pp.counts import as_csr
from annatac.pp.validate import validate_counts
from annatac.tl.groups import codes_of, column_of, large_groups
from annatac.tl.marking.donor_markers import donor_markers
from annatac.tl.marking.marker_table import Markers
from annatac.tl.marking.matching import Match, match_background, quantiles
from annatac.tl.rank_sums import RankSums, directed_false_discovery_rate, rank_sums

if TYPE_CHECKING:
    from anndata import AnnData

#: Columns of obs that hold the TSS enrichment, as annatac, ArchR, SnapATAC2, Signac and muon name it.
TSS_COLUMNS = (keys.TSS_ENRICHMENT, "TSSEnrichment", "tsse", "TSS.enrichment", "tss_score", "tss_enrichment")


class _Compared(NamedTuple):
    test: RankSums
    log2_fold_change: npt.NDArray[np.float64]


def markers(
    adata: AnnData,
    groupby: str = keys.LABEL,
    *,
    types: Sequence[str] | None = None,
    genes: str | Path | pd.DataFrame | None = None,
    match_on: Sequence[str] | None = None,
    donor_key: str | None = None,
    max_cells: int | None = 2_000,
    n_background: int = 10,
    max_background: int | None = 10_000,
    min_cells: int = 10,
    weigh: bool | None = None,
    seed: int = 0,
) -> Markers:
    """Return how each peak differs between the cells of each type and background cells of the same depth.

    Each cell of a type takes the nearest background cells that are still free, by quantiles of log10 depth and,
    where obs has it, TSS enrichment; counts are scaled to the median depth; a Wilcoxon rank-sum test compares
    both. So does ArchR's ``getMarkerFeatures`` (Granja et al. 2021), with one background cell a cell and at most
    500 cells a type.

    Parameters
    ----------
    adata
        Cells x peaks (or islands), counts; ``obs[groupby]`` their types. Cells without a type are left out.
    groupby
        Column of ``obs`` with the types.
    types
        Only these types; cells of the others remain their background. All types otherwise.
    genes
        GTF, GFF3, BED or table of genes: adds the nearest gene and its distance.
    match_on
        Columns of ``obs`` to match on beside depth. By default the TSS enrichment, if ``obs`` has a column
        of it (see ``TSS_COLUMNS``); ``()`` for depth alone.
    donor_key
        Column of ``obs`` with the donors: adds a test with donors as replicates (pseudobulk of the type
        against the donor's other cells, voom and moderated t), for types found in 3 donors or more.
    max_cells
        Compare at most so many cells of a type, drawn at random; None for all.
    n_background
        Background cells for each cell of the type, as far as there are enough of its depth.
    max_background
        At most so many background cells of a type in all; None for no bound.
    min_cells
        Types with fewer cells are left out, with a warning.
    weigh
        Count each compared cell by the probability of the type that the model gave it, on either side, instead of
        wholly by its label. A cell that may be of a sibling type then says less. By default so for the model's own
        labels (``annatac_label``) where the probabilities are there, and not for other groups. Cells of a group that
        the model does not know, the novel ones too, count wholly for it and not for others.
    seed
        Seed of the order in which cells choose their background.

    Returns
    -------
    :class:`~annatac.tl.marking.marker_table.Markers`.

    Raises
    ------
    LabelError
        No column ``groupby``, fewer than two types, or no cell of one in ``types``.
    InputError
        X holds no counts; ``weigh`` without the model's probabilities; a column to match on is not numeric or
        has gaps; genes for features without coordinates.
    ConfigError
        A number out of range.

    Notes
    -----
    The labels were found from the very counts that are tested here, so the p-values do not say that a type
    exists: any split of cells, a random one by a clustering included, yields peaks that differ. They rank
    the peaks. Their replicates are cells, not donors: see ``donor_key``.
    """
    if min_cells < 2 or n_background < 1 or (max_cells is not None and max_cells < min_cells):
        raise ConfigError(
            f"min_cells is {min_cells}, n_background {n_background}, max_cells {max_cells}; expected "
            "min_cells >= 2, n_background >= 1 and max_cells >= min_cells (or None)."
        )
    codes, names = codes_of(adata, groupby)
    if len(names) < 2:
        raise LabelError(
            f"All labelled cells are '{names[0]}' in obs['{groupby}']: there is no background to compare with."
        )
    chosen = large_groups(codes, names, min_cells, key=groupby)
    if types is not None:
        chosen = _chosen(chosen, names, types, groupby)
    if weigh is None:
        weigh = groupby == keys.LABEL and bool(set(names) & set(_classes(adata)))
    weight = _probabilities(adata, codes, names) if weigh else None
    peaks = _peaks(adata, genes)
    validate_counts(adata)
    counts = as_csr(adata.X)
    labelled = np.flatnonzero(codes >= 0)
    if len(labelled) < adata.n_obs:
        counts, codes = counts[labelled], codes[labelled]
        weight = None if weight is None else weight[labelled]
    depth = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    bias = _bias(adata, labelled, depth, match_on)
    space = quantiles(bias.to_numpy())
    scale = (np.median(depth[depth > 0]) / np.maximum(depth, 1)).astype(np.float32)

    n_types, n_peaks = len(chosen), adata.n_vars
    arrays = {
        name: np.empty((n_types, n_peaks), dtype=np.float32)
        for name in ("log2_fold_change", "auc", "share_in", "share_out")
    }
    p_value, fdr = np.empty((n_types, n_peaks)), np.empty((n_types, n_peaks))
    cells = []
    for row, code in enumerate(chosen):
        match = match_background(
            space,
            codes == code,
            n_each=n_background,
            max_cells=max_cells,
            max_background=max_background,
            seed=seed,
        )
        test, fold = _compare(counts, scale, match, None if weight is None else weight[:, code])
        p_value[row] = test.p_value
        seen = test.share_in + test.share_out > 0
        tested = np.where(seen, test.p_value, np.nan)
        fdr[row] = np.where(seen, directed_false_discovery_rate(tested, test.auc > 0.5), 1)
        arrays["log2_fold_change"][row] = fold
        arrays["auc"][row], arrays["share_in"][row], arrays["share_out"][row] = test[1:]
        cells.append(_summary(bias, match, int((codes == code).sum())))
        _warn_of_depth(names[code], cells[-1])
    types = [names[code] for code in chosen]
    table = pd.DataFrame(cells, index=pd.Index(types, name="cell_type"))
    donors = None
    if donor_key is not None:
        donor_codes, donor_names = codes_of(adata, donor_key)
        donors = donor_markers(
            counts, codes, donor_codes[labelled], chosen, names, donor_names, min_cells=min_cells
        )
        table["n_donors"] = donors.n_donors
    return Markers(
        types=types,
        peaks=peaks,
        p_value=p_value,
        fdr=fdr,
        cells=table,
        donor_log2_fold_change=None if donors is None else donors.log2_fold_change,
        donor_fdr=None if donors is None else donors.fdr,
        parameters={
            "groupby": groupby,
            "matched_on": list(bias.columns),
            "max_cells": max_cells,
            "n_background": n_background,
            "max_background": max_background,
            "min_cells": min_cells,
            "donor_key": donor_key,
            "weigh": weigh,
            "seed": seed,
        },
        **arrays,
    )


def _chosen(large: list[int], names: list[str], types: Sequence[str], groupby: str) -> list[int]:
    for name in types:
        if name not in names:
            raise LabelError(
                f"No cell has the type '{name}' in obs['{groupby}'].{nearest(name, names)} "
                f"Types: {', '.join(names)}."
            )
    return [code for code in large if names[code] in set(types)]


def _compare(
    counts: sp.csr_matrix,
    scale: npt.NDArray[np.float32],
    match: Match,
    weight: npt.NDArray[np.float32] | None,
) -> _Compared:
    """Return test and log2 fold change of the matched cells, on counts scaled to the median depth."""
    rows = np.concatenate([match.inside, match.outside])
    is_in = np.arange(len(rows)) < len(match.inside)
    member = is_in.astype(np.float32) if weight is None else weight[rows]
    part = counts[rows]
    n_entries = np.diff(part.indptr)
    value = part.data * np.repeat(scale[rows], n_entries)
    own = value * np.repeat(member, n_entries)
    n_in = float(member.sum(dtype=np.float64))
    n_out = len(rows) - n_in
    mean_in = np.bincount(part.indices, own, part.shape[1]) / n_in
    mean_out = np.bincount(part.indices, value - own, part.shape[1]) / n_out
    prior = 1 / min(n_in, n_out)
    test = rank_sums(part, scale[rows], is_in if weight is None else member)
    return _Compared(test, np.log2((mean_in + prior) / (mean_out + prior)))


def _probabilities(adata: AnnData, codes: npt.NDArray[np.int64], names: list[str]) -> npt.NDArray[np.float32]:
    """Return each cell's weight in each group: the model's probability, or 1 or 0 where it does not know its group."""
    if keys.PROBABILITIES not in adata.obsm:
        raise InputError(
            f"weigh needs the model's probabilities, and obsm has no '{keys.PROBABILITIES}'. Annotate the cells "
            "first, or leave weigh out."
        )
    known = _classes(adata)
    if not set(names) & set(known):
        raise InputError(
            f"weigh needs groups that are types of the model; '{names[0]}' and the others are none. Its types: "
            f"{', '.join(known[:5])}."
        )
    weight = (codes[:, None] == np.arange(len(names))).astype(np.float32)
    is_known = np.isin(names, known)
    called = (codes >= 0) & is_known[codes]  # a novel cell is of no type, however likely the nearest is
    for column in np.flatnonzero(is_known):
        weight[called, column] = adata.obsm[keys.PROBABILITIES][called, known.index(names[column])]
    return weight


def _classes(adata: AnnData) -> list[str]:
    """Return the types of the probabilities in ``adata``; none where there are no probabilities."""
    if keys.PROBABILITIES not in adata.obsm:
        return []
    return [str(name) for name in adata.uns.get(keys.UNS, {}).get("classes", ())]


def _peaks(adata: AnnData, genes: str | Path | pd.DataFrame | None) -> pd.DataFrame:
    intervals = intervals_of(adata.var)
    if intervals is None:
        if genes is not None:
            raise InputError(
                f"The features have no coordinates (the first is '{adata.var_names[0]}'), so no nearest gene "
                "can be found. Name them like 'chr1:100-600', or leave genes out."
            )
        return pd.DataFrame(index=adata.var_names)
    intervals.index = adata.var_names
    return intervals if genes is None else intervals.join(nearest_genes(intervals, genes))


def _bias(
    adata: AnnData,
    labelled: npt.NDArray[np.int64],
    depth: npt.NDArray[np.float64],
    match_on: Sequence[str] | None,
) -> pd.DataFrame:
    """Return what cells are matched on, one column each: log10 depth first."""
    if match_on is None:
        match_on = [next(name for name in TSS_COLUMNS if name in adata.obs)] if _has_tss(adata) else []
    elif isinstance(match_on, str):
        raise ConfigError(f"match_on is the text '{match_on}'; give a list of columns of obs.")
    bias = pd.DataFrame({"log10_depth": np.log10(np.maximum(depth, 1))})
    for name in match_on:
        values = pd.to_numeric(column_of(adata, name), errors="coerce").to_numpy(np.float64)[labelled]
        if not np.isfinite(values).all():
            raise InputError(
                f"obs['{name}'] has {int((~np.isfinite(values)).sum()):,} values that are missing or no numbers; "
                "cells cannot be matched on it. Fill them, or choose other columns with match_on."
            )
        bias[name] = values
    return bias


def _warn_of_depth(name: str, figures: dict[str, float]) -> None:
    """Warn where the background's depth is more than a quarter off: fold changes hold, p-values are biased."""
    ratio = 10 ** (figures["log10_depth_type"] - figures["log10_depth_background"])
    if not 0.8 < ratio < 1.25:
        warnings.warn(
            f"'{name}' has no background of its depth: its cells have {ratio:.2f} times the counts of the most "
            "alike others. Its p-values reflect depth too; go by fold changes, or compare with max_cells=500.",
            AnnatacWarning,
            stacklevel=3,
        )


def _has_tss(adata: AnnData) -> bool:
    return any(name in adata.obs for name in TSS_COLUMNS)


def _summary(bias: pd.DataFrame, match: Match, n_cells: int) -> dict[str, float]:
    figures: dict[str, float] = {
        "n_cells": n_cells,
        "n_used": len(match.inside),
        "n_background": len(match.outside),
    }
    for name in bias:
        for side, rows in (("type", match.inside), ("background", match.outside)):
            figures[f"{name}_{side}"] = float(bias[name].to_numpy()[rows].mean())
    return figures
