"""Gene scores: how open the surroundings of each gene are, as a stand-in for its expression."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from annatac.errors import ConfigError, InputError, OverlapError
from annatac.genome.annotation import as_genes
from annatac.genome.chroms import to_ucsc
from annatac.genome.intervals import intervals_of
from annatac.pp.counts import as_csr

if TYPE_CHECKING:
    from anndata import AnnData

DECAY_BP = 5_000  # the weight falls by e in so many bp
REACH_BP = 100_000  # nothing farther than this counts
NEAR_BP = 1_000  # this near always counts, whatever the neighbouring genes
UPSTREAM_BP = 5_000  # the gene's region begins so far before its start site
SIZE_RANGE = 5.0  # the smallest gene weighs about so many times the largest
CEILING = 4  # counts of a feature above this say no more


def gene_scores(
    adata: AnnData, genes: str | Path | pd.DataFrame, *, scale_to: float | None = 10_000.0
) -> AnnData:
    """Return the cells' gene scores: accessibility in and around each gene, weighted by distance (ArchR).

    A feature at distance d from a gene's region (its body, with 5 kb before the start site) weighs
    exp(-d / 5000) + exp(-1), within 100 kb and not past the neighbouring genes, but always within 1 kb. A gene's
    score is multiplied by 1 + 4 m / (max m - min m), where m = 1 / width of its region: long genes gather more.

    Parameters
    ----------
    adata
        Cells x peaks (or bins), counts, features with coordinates; counts above 4 are taken as 4.
    genes
        Path of a GTF, GFF3 or BED file, or a table with chrom, start, end, symbol and strand. Transcripts of one
        symbol and chromosome become one gene, of the widest extent; of a symbol on several chromosomes the widest
        is taken.
    scale_to
        Each cell's scores sum to this; None leaves them as they are.

    Returns
    -------
    New AnnData of cells x genes near any feature, sorted by position. X: float32 CSR. obs, uns: as in ``adata``.
    var: index symbol, ``chrom``, ``start``, ``end`` (0-based, half-open), ``strand``.

    Raises
    ------
    InputError
        The features have no coordinates; the genes cannot be used.
    OverlapError
        No feature lies near a gene.
    ConfigError
        ``scale_to`` is not over 0.

    Notes
    -----
    ArchR (Granja et al. 2021) counts insertions in 500-bp tiles; here the features are those of the matrix. The
    genes before and after are those next in order of their regions' starts, as there.
    """
    from anndata import AnnData

    if scale_to is not None and not scale_to > 0:
        raise ConfigError(f"scale_to is {scale_to}; a number over 0, or None, is expected.")
    features = intervals_of(adata.var)
    if features is None:
        raise InputError(
            f"Gene scores need features with coordinates; the first is '{adata.var_names[0]}'. Give cells x peaks, "
            "named such as 'chr1:100-600'."
        )
    table = gene_regions(genes)
    weights = gene_weights(features, table)
    near = np.flatnonzero(np.diff(weights.indptr))
    if not len(near):
        raise OverlapError(
            f"None of the {len(features):,} features lies within {REACH_BP:,} bp of one of the {len(table):,} genes "
            f"(features look like '{adata.var_names[0]}'). Are the genes of this assembly?"
        )
    counts = as_csr(adata.X).astype(np.float32)
    counts.data = np.minimum(counts.data, CEILING)
    scores = sp.csr_matrix(counts @ weights[:, near])
    if scale_to is not None:
        total = np.asarray(scores.sum(axis=1)).ravel()
        factor = np.divide(scale_to, total, out=np.zeros_like(total), where=total > 0)
        scores = sp.csr_matrix(sp.diags(factor.astype(np.float32)) @ scores)
    var = table.iloc[near].set_index("symbol")[["chrom", "start", "end", "strand"]]
    var.index.name = None
    return AnnData(scores.astype(np.float32), obs=adata.obs.copy(), var=var, uns=dict(adata.uns))


def gene_regions(genes: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Return one row a gene, sorted by the region's start: symbol, chrom, strand, start, end and ``region_start``,
    ``region_end`` (int64, the body with 5 kb before its start site).

    Raises
    ------
    InputError
        The genes have no extent or no symbol; for files see :func:`annatac.genome.annotation.read_genes`.
    """
    table = as_genes(genes)
    if not {"start", "end"} <= set(table.columns):
        raise InputError("Gene scores need the genes' start and end, not their start sites alone.")
    table = table[table["symbol"].astype(str) != ""].copy()
    if table.empty:
        raise InputError("None of the genes has a symbol.")
    table["chrom"] = to_ucsc(table["chrom"])
    if "strand" not in table:
        table["strand"] = "+"
    merged = table.groupby(["symbol", "chrom"], sort=False, as_index=False).agg(
        start=("start", "min"), end=("end", "max"), strand=("strand", "first")
    )
    merged["width"] = merged["end"] - merged["start"]
    merged = merged.sort_values("width", ascending=False, kind="stable").drop_duplicates("symbol")
    forward = merged["strand"].to_numpy() != "-"
    merged["region_start"] = np.maximum(merged["start"] - np.where(forward, UPSTREAM_BP, 0), 0)
    merged["region_end"] = merged["end"] + np.where(forward, 0, UPSTREAM_BP)
    merged = merged.drop(columns="width").sort_values(["chrom", "region_start", "region_end"], kind="stable")
    return merged.reset_index(drop=True)


def gene_weights(features: pd.DataFrame, genes: pd.DataFrame) -> sp.csc_matrix:
    """Return what each feature adds to each gene, float32 (features x genes).

    Parameters
    ----------
    features
        chrom, start, end.
    genes
        As :func:`gene_regions` gives them.
    """
    width = (genes["region_end"] - genes["region_start"]).to_numpy(dtype=float)
    small = 1 / width
    spread = small.max() - small.min()
    size_weight = 1 + small * (SIZE_RANGE - 1) / spread if spread > 0 else np.ones(len(genes))
    rows, columns, values = [], [], []
    gene_chrom, feature_chrom = genes["chrom"].to_numpy(), np.asarray(to_ucsc(features["chrom"]))
    starts, ends = features["start"].to_numpy(), features["end"].to_numpy()
    for chrom in sorted(set(gene_chrom) & set(feature_chrom) - {""}):
        own = np.flatnonzero(gene_chrom == chrom)
        first, last = genes["region_start"].to_numpy()[own], genes["region_end"].to_numpy()[own]
        low = np.maximum(first - REACH_BP, np.concatenate([[0], last[:-1]]))
        high = np.minimum(last + REACH_BP, np.concatenate([first[1:], [np.iinfo(np.int64).max]]))
        low, high = np.minimum(low, first - NEAR_BP), np.maximum(high, last + NEAR_BP)
        mine = np.flatnonzero(feature_chrom == chrom)
        mine = mine[np.argsort(starts[mine], kind="stable")]
        s, e = starts[mine], ends[mine]
        begin = np.searchsorted(s, low - (e - s).max(), side="right")
        stop = np.searchsorted(s, high, side="left")
        for gene, a, b, i, j, lo in zip(own, first, last, begin, stop, low, strict=True):
            inside = np.flatnonzero(e[i:j] > lo) + i
            distance = np.maximum(np.maximum(a - e[inside] + 1, s[inside] - b + 1), 0)
            rows.append(mine[inside])
            columns.append(np.full(len(inside), gene))
            values.append((np.exp(-distance / DECAY_BP) + np.exp(-1)) * size_weight[gene])
    if not rows:
        return sp.csc_matrix((len(features), len(genes)), dtype=np.float32)
    entries = (np.concatenate(values).astype(np.float32), (np.concatenate(rows), np.concatenate(columns)))
    return sp.csc_matrix(entries, shape=(len(features), len(genes)))
