"""Signal of one set of peaks, carried over to another by overlap."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp


def carry_over(old: pd.DataFrame, new: pd.DataFrame) -> sp.csr_matrix:
    """Return the share of each old interval that lies in each new one.

    Parameters
    ----------
    old, new
        n and m rows: chrom (same spelling), start, end (0-based, half-open). Old intervals may touch but barely
        overlap one another; new ones may overlap.

    Returns
    -------
    float32 CSR (n, m), 0 to 1. ``signal @ weight`` is the signal of the new intervals.
    """
    rows, columns, shares = [], [], []
    groups = pd.Series(np.arange(len(old))).groupby(old["chrom"].to_numpy()).indices
    for chrom, mine in pd.Series(np.arange(len(new))).groupby(new["chrom"].to_numpy()).indices.items():
        if chrom not in groups:
            continue
        theirs = groups[chrom]
        theirs = theirs[np.argsort(old["start"].to_numpy()[theirs], kind="stable")]
        start, end = (old[name].to_numpy()[theirs] for name in ("start", "end"))
        low, high = (new[name].to_numpy()[mine] for name in ("start", "end"))
        first = np.searchsorted(np.maximum.accumulate(end), low, side="right")
        last = np.searchsorted(start, high, side="left")
        n = np.maximum(last - first, 0)
        column = np.repeat(np.arange(len(mine)), n)
        row = np.repeat(first - (np.cumsum(n) - n), n) + np.arange(n.sum())
        shared = np.minimum(end[row], high[column]) - np.maximum(start[row], low[column])
        inside = shared > 0
        rows.append(theirs[row[inside]])
        columns.append(mine[column[inside]])
        shares.append(shared[inside] / (end - start)[row[inside]])
    if not rows:
        return sp.csr_matrix((len(old), len(new)), dtype=np.float32)
    entries = (np.concatenate(shares).astype(np.float32), (np.concatenate(rows), np.concatenate(columns)))
    return sp.csr_matrix(entries, shape=(len(old), len(new)))
