"""Whether cells of confidence 0.8 are right in 80 % of cases."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from annatac.pl.canvas import axes_or_new
from annatac.pl.palette import COLORS
from annatac.pl.trust_plots import answers

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes


class Reliability(NamedTuple):
    """Cells in m bins of confidence, empty bins left out.

    ``n_cells``: int64 (m,). ``confidence``, ``accuracy``: float64 (m,), means over a bin's cells. ``low``,
    ``high``: float64 (m,), between which the accuracy of 95 % of perfectly calibrated bins of that size and
    confidence lies. ``error``: mean |accuracy - confidence|, weighted by cells (Guo et al. 2017).
    """

    n_cells: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    error: float


def reliability_of(
    confidence: npt.NDArray[np.floating], is_right: npt.NDArray[np.bool_], *, n_bins: int = 10
) -> Reliability:
    """Return how often answers are right, by bins of equal width of their confidence (0 to 1)."""
    sure = np.asarray(confidence, dtype=np.float64)
    bins = np.minimum((sure * n_bins).astype(int), n_bins - 1)
    n = np.bincount(bins, minlength=n_bins)
    used = n > 0
    mean = np.bincount(bins, sure, minlength=n_bins)[used] / n[used]
    right = np.bincount(bins, is_right, minlength=n_bins)[used] / n[used]
    low, high = (binom.ppf(q, n[used], mean) / n[used] for q in (0.025, 0.975))
    error = float(np.abs(right - mean) @ n[used] / len(sure))
    return Reliability(n[used], mean, right, low, high, error)


def reliability(adata: AnnData, truth_key: str, *, n_bins: int = 10, ax: Axes | None = None) -> Axes:
    """Draw how often the best type is right against the confidence in it.

    A bar is where the accuracy of a perfectly calibrated model would lie in 95 % of cases, given the bin's cells;
    a dot's area is the number of cells.

    Parameters
    ----------
    adata
        Annotated cells. The best known type of each is judged; cells of types that the model does not know
        count as wrong, those without a true type are left out.
    truth_key
        Column of ``obs`` with the true types.
    n_bins
        Bins of confidence, of equal width.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    InputError, LabelError
        The cells are not annotated; no such column, no cell with a true type.
    """
    found = reliability_of(*answers(adata, truth_key), n_bins=n_bins)
    ax = axes_or_new(ax, 4.2, 3.8)
    ax.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":", label="perfectly calibrated")
    ax.vlines(
        found.confidence,
        found.low,
        found.high,
        color="#BBBBBB",
        linewidth=5,
        label="where it would lie in 95 % of cases",
    )
    ax.scatter(
        found.confidence,
        found.accuracy,
        s=20 + 180 * found.n_cells / found.n_cells.max(),
        color=COLORS[0],
        alpha=0.85,
        zorder=3,
        clip_on=False,  # sure cells, mostly right, lie in the corner
        label=f"{found.n_cells.sum():,} cells, error {found.error:.3f}",
    )
    ax.set(xlim=(0, 1.03), ylim=(-0.02, 1.03), xlabel="confidence", ylabel="share of right calls")
    ax.spines[["top", "right"]].set_visible(False)
    # above the axes: bars and dots may lie anywhere inside
    ax.legend(frameon=False, fontsize=8, markerscale=0.5, loc="lower left", bbox_to_anchor=(0, 1))
    return ax
