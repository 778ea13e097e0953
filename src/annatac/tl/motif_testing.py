"""Motifs that a set of peaks has more often than background peaks of the same GC content and width."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError, InputError, nearest
from annatac.genome.intervals import intervals_of
from annatac.tl.marker_table import Markers
from annatac.tl.motif_scanning import motifs_of
from annatac.tl.rank_sums import false_discovery_rate

if TYPE_CHECKING:
    from anndata import AnnData

Bools = npt.NDArray[np.bool_]
_GC_BINS, _WIDTH_BINS = 50, 5


def motif_enrichment(
    adata: AnnData,
    peaks: Markers | Mapping[str, Sequence[Any]],
    *,
    background_ratio: int = 4,
    max_fdr: float = 0.05,
    min_log2_enrichment: float = 0.5,
    min_peaks: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Return which motifs are enriched in each set of peaks, against peaks of the same GC content and width.

    Parameters
    ----------
    adata
        Scanned by ``annatac.tl.motif_scan``.
    peaks
        Marker peaks (``annatac.tl.markers``, at its own bounds), or by set (a type) the names of its peaks
        or a bool array over all peaks.
    background_ratio
        Background peaks for each peak of the set, as far as there are enough; drawn without replacement from
        the peaks outside the set, in 50 classes of GC and 5 of width (quantiles).
    max_fdr, min_log2_enrichment
        What ``is_enriched`` means. A fold bound is asked for too since many peaks make trifles significant.
    min_peaks
        Sets with fewer peaks with sequence are left out, with a warning.
    seed
        Seed of the draw, the same for every set.

    Returns
    -------
    DataFrame, a row a set and motif, the surest first in each set: cell_type, motif (id), name, n_peaks,
    n_with, n_background, n_background_with, log2_enrichment (of the shares, half a peak added), p_value
    (one-sided Fisher: hypergeometric), fdr (Benjamini and Hochberg over the motifs of the set),
    is_enriched, gc and gc_background (mean shares).

    Raises
    ------
    InputError
        The peaks were not scanned, a name is no peak, or no set is large enough.
    """
    from scipy.stats import hypergeom

    if background_ratio < 1 or min_peaks < 1:
        raise ConfigError("background_ratio and min_peaks must be 1 or more.")
    motifs = motifs_of(adata)
    has = adata.varm[keys.MOTIF_HITS].tocsc().astype(bool).tocsr()
    gc = adata.var[keys.GC].to_numpy(dtype=np.float64)
    stratum = _strata(adata, gc)
    tables, small = [], []
    for name, chosen in _sets(adata, peaks).items():
        inside = chosen & (stratum >= 0)
        if inside.sum() < min_peaks:
            small.append(f"'{name}' ({int(inside.sum())})")
            continue
        random = np.random.default_rng(seed)
        other = matched_background(stratum, inside, background_ratio, random)
        if not len(other):
            raise InputError(f"'{name}' holds every peak: there is none left to compare with.")
        n_with = np.asarray(has[inside].sum(axis=0)).ravel().astype(np.int64)
        n_other = np.asarray(has[other].sum(axis=0)).ravel().astype(np.int64)
        n_in, n_out = int(inside.sum()), len(other)
        p = np.clip(hypergeom.sf(n_with - 1, n_in + n_out, n_with + n_other, n_in), 0, 1)
        enrichment = np.log2((n_with + 0.5) / (n_in + 1) / ((n_other + 0.5) / (n_out + 1)))
        fdr = false_discovery_rate(p)
        table = pd.DataFrame(
            {
                "cell_type": name,
                "motif": [motif.id for motif in motifs],
                "name": [motif.name for motif in motifs],
                "n_peaks": n_in,
                "n_with": n_with,
                "n_background": n_out,
                "n_background_with": n_other,
                "log2_enrichment": enrichment,
                "p_value": p,
                "fdr": fdr,
                "is_enriched": (fdr <= max_fdr) & (enrichment >= min_log2_enrichment),
                "gc": gc[inside].mean(),
                "gc_background": gc[other].mean(),
            }
        )
        tables.append(
            table.sort_values(["p_value", "log2_enrichment"], ascending=[True, False], kind="stable")
        )
    if not tables:
        raise InputError(
            f"No set has {min_peaks} peaks or more: {', '.join(small[:5]) or 'there is no set'}."
        )
    if small:
        warnings.warn(
            f"{len(small)} sets have under {min_peaks} peaks and are left out: {', '.join(small[:5])}.",
            AnnatacWarning,
            stacklevel=2,
        )
    return pd.concat(tables, ignore_index=True)


def matched_background(
    stratum: npt.NDArray[np.int64], inside: Bools, ratio: int, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return peaks outside the set, of the same classes, as many times the set's as all classes allow.

    The ratio is the largest (up to ``ratio``) at which 99 % of the wanted peaks exist, so that the classes keep
    their shares; what a class lacks is left out.
    """
    n_strata = int(stratum.max()) + 1
    wanted = np.bincount(stratum[inside], minlength=n_strata)
    free = ~inside & (stratum >= 0)
    available = np.bincount(stratum[free], minlength=n_strata)
    tried = np.linspace(ratio, 0.05, 80)
    fits = [np.minimum(wanted * r, available).sum() >= 0.99 * (wanted * r).sum() for r in tried]
    r = float(tried[int(np.argmax(fits))]) if any(fits) else float(tried[-1])
    order = random.permutation(np.flatnonzero(free))
    order = order[np.argsort(stratum[order], kind="stable")]
    first = np.concatenate([[0], np.cumsum(available)])[:-1]
    rank = np.arange(len(order)) - first[stratum[order]]
    take = np.minimum(np.rint(wanted * r).astype(np.int64), available)
    return np.sort(order[rank < take[stratum[order]]])


def _strata(adata: AnnData, gc: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the class of each peak by GC and width, -1 without sequence."""
    table = intervals_of(adata.var)
    assert table is not None  # it was scanned
    width = (table["end"] - table["start"]).to_numpy()
    known = np.isfinite(gc)
    result = np.full(len(gc), -1, dtype=np.int64)
    result[known] = _quantile_class(gc[known], _GC_BINS) * _WIDTH_BINS + _quantile_class(
        width[known], _WIDTH_BINS
    )
    return result


def _quantile_class(values: npt.NDArray[Any], n_bins: int) -> npt.NDArray[np.int64]:
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1])) if len(values) else values
    return np.searchsorted(edges, values, side="left").astype(np.int64)


def _sets(adata: AnnData, peaks: Markers | Mapping[str, Sequence[Any]]) -> dict[str, Bools]:
    if isinstance(peaks, Markers):
        table = peaks.table()
        peaks = {name: table.loc[table["cell_type"] == name, "peak"].tolist() for name in peaks.types}
    sets: dict[str, Bools] = {}
    for name, members in peaks.items():
        values = np.asarray(members)
        if values.dtype == bool:
            if values.shape != (adata.n_vars,):
                raise InputError(f"'{name}': a bool array of {values.shape}; ({adata.n_vars},) is expected.")
            sets[name] = values
            continue
        at = adata.var_names.get_indexer(pd.Index(values.astype(str)))
        if len(at) and (at < 0).any():
            wrong = str(values[int(np.argmax(at < 0))])
            few = adata.var_names[:20_000].tolist()
            raise InputError(
                f"'{name}': {int((at < 0).sum())} of {len(at)} names are no peaks, first '{wrong}'."
                f"{nearest(wrong, few)}"
            )
        chosen = np.zeros(adata.n_vars, dtype=bool)
        chosen[at] = True
        sets[name] = chosen
    return sets
