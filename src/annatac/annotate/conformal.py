"""Sets of types that hold the true one at a stated rate: split conformal prediction, type by type.

A type belongs to a cell's set where the cell's calibrated probability of it is not lower than all but a share
``error_rate`` of what held-out reference cells of that type get for it (Sadinle, Lei and Wasserman 2019).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from annatac.errors import ConfigError

MIN_OWN = 19  # held-out cells under which a type has no threshold of its own, whatever the rate


class Thresholds(NamedTuple):
    """What a probability must at least be, by type.

    Attributes
    ----------
    least
        float64 (C,): a type is in the set of a cell whose probability of it is at least this.
    is_pooled
        bool (C,): types with too few held-out cells for a guarantee of their own.
    """

    least: npt.NDArray[np.float64]
    is_pooled: npt.NDArray[np.bool_]


def check_error_rate(error_rate: float) -> None:
    """Refuse an error rate outside (0, 1).

    Raises
    ------
    ConfigError
        It is.
    """
    if not 0 < error_rate < 1:
        raise ConfigError(
            f"The error rate is {error_rate:g}; a number over 0 and under 1 is expected, such as 0.05: the share of "
            "cells whose set may miss their type."
        )


def n_cells_needed(error_rate: float) -> int:
    """Return how many held-out cells a type needs for a threshold of its own: 19 at 0.05 and above, 99 at 0.01."""
    return max(MIN_OWN, math.ceil(1 / error_rate - 1e-9) - 1)


def thresholds(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], n_types: int, error_rate: float
) -> Thresholds:
    """Return the thresholds of C types at an error rate.

    Parameters
    ----------
    probabilities
        (m,), what held-out cells get for their true type, calibrated.
    labels
        (m,), their types, 0..C-1.
    error_rate
        Over 0, under 1.

    Returns
    -------
    For a type of n cells the (n + 1) error_rate-th smallest of their probabilities (see Notes). Types of fewer than
    19 cells share the threshold of all their cells together. Where the rate asks for more cells than there are,
    the threshold is the lowest probability among them, or what all cells together give where that is lower; 0
    where these are too few too, and every type is in every set.

    Notes
    -----
    Another cell of the type, exchangeable with these, lies under the k-th smallest with a probability of at most
    k / (n + 1). Rounded down to a whole k, 30 cells at a rate of 0.05 would miss 3 % and their sets be larger than
    need be. Between two of them their logarithms are interpolated: the rate is then kept where cells grow no rarer
    from the one to the other, as in a lower tail they do not, and exceeded by less than 1 / (n + 1) whatever their
    distribution.

    Which types share does not depend on the rate, and each threshold rises with it: the set at a higher rate lies
    in the set at a lower one.

    Raises
    ------
    ConfigError
        The error rate is not within (0, 1).
    """
    check_error_rate(error_rate)
    n_cells = np.bincount(labels, minlength=n_types)
    is_small = n_cells < MIN_OWN
    of_all = _lower_quantile(probabilities, error_rate)
    least = np.zeros(n_types)
    for k in np.flatnonzero(~is_small):
        least[k] = _least(probabilities[labels == k], error_rate, of_all)
    least[is_small] = _least(probabilities[is_small[labels]], error_rate, of_all)
    return Thresholds(least, n_cells < n_cells_needed(error_rate))


def prediction_sets(probabilities: npt.NDArray[np.floating], found: Thresholds) -> npt.NDArray[np.bool_]:
    """Return which types belong to each cell's set, bool (n, C); of a cell unlike all types, none.

    Parameters
    ----------
    probabilities
        Calibrated, (n, C).
    """
    return np.asarray(probabilities >= found.least - 1e-9)


def _least(values: npt.NDArray[np.floating], error_rate: float, of_all: float) -> float:
    """Return the quantile of some cells, or what lies under all of them where they are too few for it."""
    if math.floor((len(values) + 1) * error_rate + 1e-9) >= 1:
        return _lower_quantile(values, error_rate)
    return min([float(values.min()), of_all]) if len(values) else of_all


def _lower_quantile(values: npt.NDArray[np.floating], error_rate: float) -> float:
    """Return the (n + 1) error_rate-th smallest of n values, between two of them their geometric mean; 0 under the
    smallest."""
    rank = (len(values) + 1) * error_rate + 1e-9
    if rank < 1:
        return 0.0
    logs = np.log(np.maximum(np.sort(values), np.finfo(np.float32).tiny))
    return float(np.exp(np.interp(rank, np.arange(1, len(values) + 1), logs)))
