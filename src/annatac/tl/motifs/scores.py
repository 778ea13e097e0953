"""Log-odds scores of motifs as whole numbers, and their exact p-values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annatac.io.motif_files import Motif

STEPS_PER_BIT = 100  # scores are rounded to a hundredth of a bit in each column
RARE = 1e-3  # the best site of a short motif counts if it is this unlikely: 4^-5, five certain bases
PSEUDOCOUNT = 0.8  # in all, a column; motifmatchr's and TFBSTools' choice

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreTable:
    """A motif's scores: int64 (width, 4), in ``1 / STEPS_PER_BIT`` bits, and the p-value of each total.

    ``tail[k]`` is the chance that a random site under the background scores ``lowest + k`` or more.
    """

    scores: Ints
    lowest: int
    tail: npt.NDArray[np.float64]

    def p_value(self, score: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the p-value of whole-number scores."""
        at = np.clip(np.asarray(score) - self.lowest, 0, len(self.tail) - 1)
        return self.tail[at]

    def threshold(self, p_value: float) -> int:
        """Return the lowest score whose p-value is at most ``p_value``; one above the best if none is."""
        return self.lowest + int(np.count_nonzero(self.tail > p_value))

    def site_threshold(self, p_value: float) -> int:
        """Return :meth:`threshold`, or the best score where no site is so unlikely and the best still is rare."""
        return (
            min(self.threshold(p_value), self.best) if self.best_p_value <= RARE else self.threshold(p_value)
        )

    @property
    def best(self) -> int:
        """The highest score."""
        return int(self.scores.max(axis=1).sum())

    @property
    def best_p_value(self) -> float:
        """The chance of the highest score."""
        return float(self.tail[self.best - self.lowest])


def score_table(
    motif: Motif, background: npt.NDArray[np.float64], *, pseudocount: float = PSEUDOCOUNT
) -> ScoreTable:
    """Return the scores of a motif against a background of independent bases.

    ``s(j, b) = round(100 * log2(p(j, b) / q(b)))`` with ``p = (n(j, b) + c q(b)) / (n(j) + c)``. The
    distribution of the sum is built column by column (Staden 1989; as FIMO and MOODS do): exact for the
    rounded scores, which is what the scan adds up.
    """
    counts = motif.counts
    p = (counts + pseudocount * background) / (counts.sum(axis=1, keepdims=True) + pseudocount)
    with np.errstate(divide="ignore"):
        bits = np.log2(p / background)
    scores = np.rint(STEPS_PER_BIT * np.maximum(bits, -100.0)).astype(np.int64)
    above = scores - scores.min(axis=1, keepdims=True)
    chance = np.zeros(int(above.max(axis=1).sum()) + 1)
    chance[0], top = 1.0, 0
    for column in above:
        following = np.zeros_like(chance)
        for step, q in zip(column.tolist(), background.tolist(), strict=True):
            following[step : step + top + 1] += q * chance[: top + 1]
        chance, top = following, top + int(column.max())
    tail = np.minimum(np.cumsum(chance[::-1])[::-1], 1.0)
    return ScoreTable(scores=scores, lowest=int(scores.min(axis=1).sum()), tail=tail)


def strand_symmetric(frequencies: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return A, C, G, T frequencies that are the same on both strands and sum to 1, float64 (4,)."""
    q = np.asarray(frequencies, dtype=np.float64)
    q = (q + q[::-1]) / 2
    return q / q.sum()
