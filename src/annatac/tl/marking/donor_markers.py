"""Marker peaks with donors as replicates."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from annatac.errors import AnnatacWarning
from annatac.tl.contrasts.moderated import enough_counts, fit, size_factors, voom
from annatac.tl.rank_sums import false_discovery_rate

MIN_DONORS = 3
_MIN_COUNT = 5


class DonorMarkers(NamedTuple):
    """float32 (types, peaks), NaN where not tested; donors used a type."""

    log2_fold_change: npt.NDArray[np.float32]
    fdr: npt.NDArray[np.float32]
    n_donors: list[int]


def donor_markers(
    counts: sp.csr_matrix,
    codes: npt.NDArray[np.int64],
    donor: npt.NDArray[np.int64],
    chosen: list[int],
    names: list[str],
    donor_names: list[str],
    *,
    min_cells: int,
) -> DonorMarkers:
    """Test each type's pseudobulk against the other cells of the same donor.

    A donor counts for a type if it has ``min_cells`` cells of it and of the others. The design has one term a
    donor and one for the type; see :mod:`annatac.tl.contrasts.moderated`.
    """
    n_donors, n_types = len(donor_names), len(names)
    unit = np.where(donor >= 0, donor * n_types + codes, -1)
    rows = np.flatnonzero(unit >= 0)
    belongs = sp.csr_matrix((np.ones(len(rows)), (unit[rows], rows)), shape=(n_donors * n_types, len(unit)))
    sums = (belongs @ counts).toarray().reshape(n_donors, n_types, -1)
    n_cells = np.bincount(unit[rows], minlength=n_donors * n_types).reshape(n_donors, n_types)
    shape = (len(chosen), counts.shape[1])
    fold, fdr = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    used, too_few = [], []
    total, total_cells = sums.sum(axis=1), n_cells.sum(axis=1)
    for row, code in enumerate(chosen):
        others = total_cells - n_cells[:, code]
        donors = np.flatnonzero((n_cells[:, code] >= min_cells) & (others >= min_cells))
        used.append(len(donors))
        if len(donors) < MIN_DONORS:
            too_few.append(f"'{names[code]}' ({len(donors)})")
            continue
        bulks = np.concatenate([sums[donors, code], total[donors] - sums[donors, code]])
        is_type = np.repeat([1.0, 0.0], len(donors))
        design = np.column_stack([np.tile(np.eye(len(donors)), (2, 1)), is_type])
        library = size_factors(bulks)
        tested = np.flatnonzero(enough_counts(bulks, library, len(donors), min_count=_MIN_COUNT))
        if not len(tested):
            continue
        y, weights = voom(bulks[:, tested], library, design)
        result = fit(y, weights, design, len(donors))
        fold[row, tested] = result.effect
        fdr[row, tested] = false_discovery_rate(result.p_value)
    if too_few:
        warnings.warn(
            f"{len(too_few)} of {len(chosen)} types have under {MIN_DONORS} donors with {min_cells} cells and "
            f"are not tested with donors as replicates: {', '.join(too_few[:5])}.",
            AnnatacWarning,
            stacklevel=3,
        )
    return DonorMarkers(fold, fdr, used)
