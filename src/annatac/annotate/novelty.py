"""Numbers in [0, 1] that say how unusual a cell would be among the reference's: novelty and doublet score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

from annatac.annotate.depth import DepthTrend, Floats

TAIL = 0.05  # the share of held-out cells whose scores are followed by an exponential
WITHIN_TYPE = 2.0  # as many times the share of all cells may be called novel of one type's
_POOLED_CELLS = 5  # in a type's own share, so many cells stand for all types


@dataclass(frozen=True)
class Rarity:
    """The share of held-out reference cells that a score exceeds.

    Up to the 95 % quantile it is read off their scores, beyond it an exponential with the mean excess of the
    last 5 % goes on, so that cells beyond all held-out ones can still be told apart.

    Attributes
    ----------
    scores
        float64 (m,), of held-out cells, rising.
    types
        int64 (m,), what these cells were called, 0..C-1; None where it is not known.
    """

    scores: Floats
    types: npt.NDArray[np.int64] | None = None

    def __call__(self, values: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return the shares of n scores, float32 (n,), in [0, 1]."""
        return _share_under(np.asarray(values, dtype=np.float64), self.scores).astype(np.float32)

    def within_type(self, values: npt.ArrayLike, types: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """Return the shares among the held-out cells that are called like each cell, float32 (n,), in [0, 1].

        Each is shrunk towards the share of all held-out cells, which counts for 5 cells.

        Parameters
        ----------
        values, types
            (n,), the cells' scores and what they are called.
        """
        x = np.asarray(values, dtype=np.float64)
        shares = _share_under(x, self.scores)
        if self.types is not None:
            for one in np.unique(types):
                held, cells = self.scores[self.types == one], types == one
                total = len(held) * _share_under(x[cells], held) + _POOLED_CELLS * shares[cells]
                shares[cells] = total / (len(held) + _POOLED_CELLS)
        return shares.astype(np.float32)


def _share_under(x: Floats, held: Floats) -> Floats:
    """Return the share of held-out scores (m,), rising, under each of n scores, (n,)."""
    if len(held) == 0:
        return np.zeros(len(x))
    grid = (np.arange(len(held)) + 1) / (len(held) + 1)
    share = np.interp(x, held, grid, left=0.0)
    edge = float(np.interp(1 - TAIL, grid, held))
    beyond = held[held > edge] - edge
    scale = max(float(beyond.mean()) if len(beyond) else 0.0, 1e-6)
    tail = 1 - TAIL * np.exp(-np.maximum(x - edge, 0) / scale)
    return np.asarray(np.where(x > edge, tail, np.minimum(share, 1 - TAIL)))


@dataclass(frozen=True)
class Surprise:
    """A score of one or more statistics of a cell, each less what its depth alone gives, joined as Fisher does.

    Of each standardised statistic the logarithm of its upper tail's probability (normal) counts: an unusually
    high one adds much, one that is unusually low takes nothing away from the others.

    Attributes
    ----------
    trends
        One for each statistic; higher statistics are more surprising.
    rarity
        Of the sums.
    """

    trends: tuple[DepthTrend, ...]
    rarity: Rarity

    @classmethod
    def fit(
        cls,
        statistics: list[npt.NDArray[np.floating]],
        n_open: npt.ArrayLike,
        types: npt.NDArray[np.int64] | None = None,
    ) -> Surprise:
        """Fit trends and rarity to statistics, float (m,) each, of m held-out cells and their open islands.

        ``types``: what the cells are called (m,), where shares within types are to be had.
        """
        trends = tuple(DepthTrend.fit(one, n_open) for one in statistics)
        totals = cls(trends, Rarity(np.zeros(0))).total(statistics, n_open)
        order = np.argsort(totals, kind="stable")
        return cls(trends, Rarity(totals[order], None if types is None else types[order]))

    def total(self, statistics: list[npt.NDArray[np.floating]], n_open: npt.ArrayLike) -> Floats:
        """Return the sum of -log(tail probability) over the standardised statistics, float64 (n,)."""
        each = [trend.standardised(one, n_open) for trend, one in zip(self.trends, statistics, strict=True)]
        return np.asarray(-np.sum([log_ndtr(-z) for z in each], axis=0))

    def __call__(
        self, statistics: list[npt.NDArray[np.floating]], n_open: npt.ArrayLike
    ) -> npt.NDArray[np.float32]:
        """Return the score of n cells, float32 (n,), in [0, 1]: the share of held-out cells it exceeds."""
        return self.rarity(self.total(statistics, n_open))

    def to_dict(self) -> dict[str, Any]:
        """Return the trends as plain values; scores and types of the held-out cells are kept as arrays."""
        return {"trends": [trend.to_dict() for trend in self.trends]}

    @classmethod
    def from_dict(
        cls, content: Mapping[str, Any], scores: Floats, types: npt.NDArray[np.int64] | None = None
    ) -> Surprise:
        """Return what :meth:`to_dict` wrote, with the held-out cells' scores and types."""
        trends = tuple(DepthTrend.from_dict(one) for one in content["trends"])
        return cls(trends, Rarity(scores, types))
