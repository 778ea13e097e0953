"""Which motifs resemble each other: correlation of their matrices at the best alignment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from annatac.io.motif_files import Motif

Floats = npt.NDArray[np.float64]
MIN_CORRELATION = 0.6  # RSAT matrix-clustering's bounds (Castro-Mondragon et al. 2017)
MIN_NORMALISED = 0.4
MIN_OVERLAP_BP = 5


def resemble(motifs: Sequence[Motif]) -> npt.NDArray[np.bool_]:
    """Return which motifs resemble each other, bool (n, n), symmetric, true on the diagonal.

    Two motifs resemble each other if at some alignment, on either strand, of 5 bp or more (or of the whole shorter
    one), the base shares of the overlap correlate (Pearson) by 0.6 or more, and by 0.4 or more after
    multiplication with overlap / (width of both together): the bounds of RSAT matrix-clustering
    (Castro-Mondragon et al. 2017).
    """
    n = len(motifs)
    width = np.array([motif.width for motif in motifs])
    longest = int(width.max()) if n else 0
    forward, backward = np.zeros((n, longest, 4)), np.zeros((n, longest, 4))
    for i, motif in enumerate(motifs):
        p = motif.probabilities() - 0.25  # each column's mean is 1/4: a cosine of these is Pearson's r
        forward[i, : width[i]] = p
        backward[i, : width[i]] = p[::-1, ::-1]
    alike = np.eye(n, dtype=bool)
    least = np.minimum(MIN_OVERLAP_BP, np.minimum(width[:, None], width[None, :]))
    for other in (forward, backward):
        for shift in range(longest):  # column ``shift`` of the first lies on column 0 of the other
            alike |= _aligned(forward, other, width, shift, least)
    return alike | alike.T


def _aligned(
    first: Floats, other: Floats, width: npt.NDArray[np.int64], shift: int, least: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    n, longest, _ = first.shape
    a, b = first[:, shift:], other[:, : longest - shift]
    column = np.arange(longest - shift)
    in_a = (column[None, :] < width[:, None] - shift).astype(float)
    in_b = (column[None, :] < width[:, None]).astype(float)
    product = a.reshape(n, -1) @ b.reshape(n, -1).T
    square_a = (a**2).sum(axis=2) @ in_b.T  # over the overlap alone: the other's columns are 0 or 1
    square_b = in_a @ (b**2).sum(axis=2).T
    overlap = in_a @ in_b.T
    r = product / np.sqrt(np.maximum(square_a * square_b, 1e-12))
    together = width[:, None] + width[None, :] - overlap
    return (overlap >= least) & (r >= MIN_CORRELATION) & (r * overlap / together >= MIN_NORMALISED)
