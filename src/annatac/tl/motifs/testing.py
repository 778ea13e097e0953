"""Motifs that a set of peaks has more often than background peaks of the same GC content and width."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import AnnatacWarning, InputError, nearest
from annatac.genome.intervals import intervals_of
from annatac.io.motif_files import Motif
from annatac.tl.marking.marker_table import Markers
from annatac.tl.motifs.scanning import motifs_of
from annatac.tl.motifs.similarity import resemble
from annatac.tl.rank_sums import false_discovery_rate, skewed_tail

if TYPE_CHECKING:
    from anndata import AnnData

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
_GC_BINS, _WIDTH_BINS = 50, 5


def motif_enrichment(
    adata: AnnData,
    peaks: Markers | Mapping[str, Sequence[Any]],
    *,
    max_fdr: float = 0.05,
    min_log2_enrichment: float = 0.5,
    min_peaks: int = 20,
) -> pd.DataFrame:
    """Return which motifs are enriched in each set of peaks, against peaks of the same GC content and width.

    Parameters
    ----------
    adata
        Scanned by ``annatac.tl.motif_scan``.
    peaks
        Marker peaks (``annatac.tl.markers``, at its own bounds), or by set (a type) the names of its peaks
        or a bool array over all peaks.
    max_fdr
        What ``is_enriched`` means.
    min_log2_enrichment
        The enrichment that is tested against: p-value and FDR are of an enrichment of more than that (0.5: 1.4
        times), since many peaks make trifles significant. 0 asks for any enrichment at all.
    min_peaks
        Sets with fewer peaks that can be compared are left out, with a warning.

    Returns
    -------
    DataFrame, a row a set and motif, the surest first in each set: cell_type, motif (id), name, n_peaks,
    n_with (of them, those with a site), n_background, n_expected (with a site, were the set like all peaks
    of its classes), log2_enrichment, p_value (one-sided), fdr (over the motifs of the set), is_enriched,
    leader (id of the surest enriched motif of the set that this one resembles: itself where it leads;
    empty where it is not enriched), gc and gc_background (mean shares, of the background in the set's
    classes).

    Raises
    ------
    InputError
        The peaks were not scanned, a name is no peak, or no set is large enough.

    Notes
    -----
    Peaks are put in 50 classes of GC by 5 of width (quantiles). Within a class, how many of the set's peaks
    have a site is hypergeometric if the set is like the others; the test is on the sum over the classes
    (Cochran-Mantel-Haenszel, with all peaks outside the set: none is drawn by chance). Mean, variance and skewness of
    the sum go into a shifted gamma distribution, with a continuity correction. As in TREAT (McCarthy and Smyth 2009)
    it is tested against a ratio of risks, not against none: see :func:`stratified_test`. Enrichment is
    Mantel and Haenszel's ratio of risks, half a peak added to either side. The false discovery rate is
    Benjamini and Yekutieli's (2001), which holds however the motifs depend on each other, as similar ones do.
    Peaks in a class without any peak outside the set take no part.
    """
    motifs = motifs_of(adata)
    has = adata.varm[keys.MOTIF_HITS].tocsr().astype(bool).astype(np.float64)
    gc = adata.var[keys.GC].to_numpy(dtype=np.float64)
    stratum = _strata(adata, gc)
    tables, small = [], []
    for name, chosen in _sets(adata, peaks).items():
        n_in, n_all, usable = _class_sizes(stratum, chosen)
        inside = chosen & usable
        if chosen.any() and not inside.any() and (chosen & (stratum >= 0)).sum() >= min_peaks:
            raise InputError(f"'{name}' holds every peak of its classes: there is none left to compare with.")
        if inside.sum() < min_peaks:
            small.append(f"'{name}' ({int(inside.sum())})")
            continue
        table = pd.DataFrame(
            {"cell_type": name, "motif": [m.id for m in motifs], "name": [m.name for m in motifs]}
        )
        n_with, tested = _stratified(has, stratum, inside, usable & ~inside, n_in, n_all, min_log2_enrichment)
        fdr = false_discovery_rate(tested.p_value, any_dependence=True)
        table["n_peaks"], table["n_with"] = int(inside.sum()), n_with.astype(np.int64)
        table["n_background"], table["n_expected"] = int((usable & ~inside).sum()), tested.expected
        table["log2_enrichment"], table["p_value"], table["fdr"] = tested.log2_ratio, tested.p_value, fdr
        table["is_enriched"] = fdr <= max_fdr
        weight = (n_in / np.maximum(n_all - n_in, 1))[stratum[usable & ~inside]]
        table["gc"], table["gc_background"] = (
            gc[inside].mean(),
            np.average(gc[usable & ~inside], weights=weight),
        )
        table = table.sort_values(["p_value", "log2_enrichment"], ascending=[True, False], kind="stable")
        table.insert(
            int(table.columns.get_indexer(["is_enriched"])[0]) + 1, "leader", _leaders(table, motifs)
        )
        tables.append(table)
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


class StratifiedTest(NamedTuple):
    """One number a motif (float64): one-sided p-value, log2 ratio of risks, expected peaks with a site."""

    p_value: Floats
    log2_ratio: Floats
    expected: Floats


def stratified_test(
    n_with: Floats, all_with: Floats, n_in: Floats, n_all: Floats, *, min_log2_ratio: float = 0.0
) -> StratifiedTest:
    """Return whether motifs are more frequent in a set than in its classes, the classes held apart.

    Parameters
    ----------
    n_with, all_with
        Peaks with a site, of the set and of set and background together, float64 (classes, motifs).
    n_in, n_all
        Peaks of the set, and of set and background, float64 (classes,).
    min_log2_ratio
        The ratio of risks that has to be exceeded, not merely reached by chance: log2 of r below.

    Notes
    -----
    With a of the set's n peaks and b of the background's N - n having a site in a class, the statistic is the sum of
    ``a (N - n) / N - r b n / N``, which is 0 in the mean where the risks differ by the factor r. Its variance and third
    moment are those of binomial numbers with the risks m / (n r + N - n) and r times that, m = a + b; the
    factors N / (N - 1) and N^2 / ((N - 1) (N - 2)) make them the hypergeometric ones at r = 1.
    """
    ratio = 2.0**min_log2_ratio
    n, m = n_in[:, None], all_with
    total = n_all[:, None]
    low = np.minimum(m / (n * ratio + total - n), 1 / max(ratio, 1.0))  # risk of the background at that ratio
    high = low * ratio
    weight_in, weight_out = (total - n) / total, ratio * n / total
    in_, out = n * high * (1 - high) * weight_in**2, (total - n) * low * (1 - low) * weight_out**2
    variance = ((in_ + out) * total / np.maximum(total - 1, 1)).sum(axis=0)
    bent = in_ * weight_in * (1 - 2 * high) - out * weight_out * (1 - 2 * low)
    third = (bent * total**2 / np.maximum((total - 1) * (total - 2), 1)).sum(axis=0)
    above = (n_with * weight_in).sum(axis=0)
    below = ((m - n_with) * n / total).sum(axis=0)
    varies = variance > 1e-12
    spread = np.sqrt(np.where(varies, variance, 1))
    z = (above - ratio * below - 0.5) / spread
    p_value = np.where(varies, np.clip(skewed_tail(z, np.ones_like(z), third / spread**3), 0, 1), 1.0)
    return StratifiedTest(p_value, np.log2((above + 0.5) / (below + 0.5)), (n * m / total).sum(axis=0))


def _class_sizes(stratum: npt.NDArray[np.int64], chosen: Bools) -> tuple[Floats, Floats, Bools]:
    """Return by class the peaks of the set and all peaks, and which peaks lie in a class with both."""
    known = stratum >= 0
    n_classes = int(stratum.max(initial=-1)) + 1
    n_in = np.bincount(stratum[known & chosen], minlength=n_classes).astype(np.float64)
    n_all = np.bincount(stratum[known], minlength=n_classes).astype(np.float64)
    both = np.append((n_in > 0) & (n_in < n_all), False)  # class -1 is the last
    return n_in, n_all, both[stratum]


def _stratified(
    has: sp.csr_matrix,
    stratum: npt.NDArray[np.int64],
    inside: Bools,
    outside: Bools,
    n_in: Floats,
    n_all: Floats,
    min_log2_ratio: float,
) -> tuple[Floats, StratifiedTest]:
    """Return the set's peaks with a site, by motif, and their test."""
    used = (n_in > 0) & (n_in < n_all)
    place = np.cumsum(used) - 1
    counts = []
    for mask in (inside, outside):
        at = np.flatnonzero(mask)
        member = sp.csr_matrix(
            (np.ones(len(at)), (place[stratum[at]], at)), shape=(int(used.sum()), len(stratum))
        )
        counts.append((member @ has).toarray())
    test = stratified_test(
        counts[0], counts[0] + counts[1], n_in[used], n_all[used], min_log2_ratio=min_log2_ratio
    )
    return counts[0].sum(axis=0), test


def _leaders(table: pd.DataFrame, motifs: Sequence[Motif]) -> list[str]:
    """Return for each row of a set, the surest first, the id of the leading motif that it resembles."""
    by_id = {motif.id: motif for motif in motifs}
    enriched = table.loc[table["is_enriched"], "motif"].tolist()
    alike = resemble([by_id[i] for i in enriched])
    leading: list[int] = []
    leader: dict[str, str] = {}
    for row, motif in enumerate(enriched):
        before = [other for other in leading if alike[row, other]]
        if not before:
            leading.append(row)
        leader[motif] = enriched[before[0]] if before else motif
    return [leader.get(motif, "") for motif in table["motif"]]


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
