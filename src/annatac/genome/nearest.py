"""The gene that starts nearest to an interval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from annatac.genome.annotation import as_genes
from annatac.genome.chroms import to_ucsc


def nearest_genes(intervals: pd.DataFrame, genes: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Return the gene whose start site lies nearest to the middle of each interval.

    Parameters
    ----------
    intervals
        n rows: chrom, start, end (0-based, half-open).
    genes
        GTF, GFF3 or BED, or a table with chrom, tss, symbol and, for the sign, strand.

    Returns
    -------
    DataFrame of n rows with the index of ``intervals``: ``gene`` (str, '' on a chromosome without genes) and
    ``distance`` (Int64, bp from the start site to the interval's middle, negative upstream of the
    gene as it is read; missing where there is no gene).
    """
    table = as_genes(genes)
    tss = table["tss"].to_numpy(np.int64)
    symbol = table["symbol"].astype(str).to_numpy(dtype=object)
    minus = table["strand"].eq("-").to_numpy() if "strand" in table else np.zeros(len(table), dtype=bool)
    rows_of = pd.Series(np.arange(len(table))).groupby(to_ucsc(table["chrom"])).indices
    middle = ((intervals["start"] + intervals["end"]) // 2).to_numpy(np.int64)
    found = np.full(len(intervals), -1, dtype=np.int64)
    for chrom, rows in (
        pd.Series(np.arange(len(intervals))).groupby(to_ucsc(intervals["chrom"])).indices.items()
    ):
        if chrom not in rows_of:
            continue
        genes_here = rows_of[chrom]
        genes_here = genes_here[np.argsort(tss[genes_here], kind="stable")]
        sites = tss[genes_here]
        after = np.clip(np.searchsorted(sites, middle[rows]), 1, max(len(sites) - 1, 1))
        left, right = after - 1, np.minimum(after, len(sites) - 1)
        is_left = np.abs(middle[rows] - sites[left]) <= np.abs(sites[right] - middle[rows])
        found[rows] = genes_here[np.where(is_left, left, right)]
    known = found >= 0
    gene = np.where(known, symbol[found], "")
    distance = (middle - tss[found]) * np.where(minus[found], -1, 1)
    return pd.DataFrame(
        {"gene": gene, "distance": pd.array(np.where(known, distance, 0), dtype="Int64")},
        index=intervals.index,
    ).assign(distance=lambda t: t["distance"].mask(~known))
