"""How new the cells are, and what is gained by answering only the surer ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from annatac import keys
from annatac.benchmark.evaluate import forced_choices
from annatac.errors import InputError, LabelError
from annatac.pl.canvas import axes_or_new
from annatac.pl.palette import COLORS, NOVEL_COLOR

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_N_BINS = 40


def novelty(adata: AnnData, *, ax: Axes | None = None) -> Axes:
    """Draw how novelty is spread over the cells, those called novel dark, with the threshold that was used.

    Parameters
    ----------
    adata
        Annotated cells: ``obs['annatac_novelty']`` in [0, 1] and ``obs['annatac_is_novel']``.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    InputError
        The cells have no novelty.

    Notes
    -----
    A line is drawn at 1 minus the novelty rate, under which no cell is called novel: a cell above it may not be,
    where its own type has many such cells, or where it is of low quality. Under the published rule it is drawn
    where one novelty parts the cells.
    """
    missing = [name for name in (keys.NOVELTY, keys.IS_NOVEL) if name not in adata.obs]
    if missing:
        raise InputError(f"obs['{missing[0]}'] is missing. Annotate the cells first (`annatac annotate`).")
    values = adata.obs[keys.NOVELTY].to_numpy(dtype=float)
    is_novel = adata.obs[keys.IS_NOVEL].to_numpy(dtype=bool)
    ax = axes_or_new(ax, 5.0, 3.0)
    bins = np.linspace(0, 1, _N_BINS + 1).tolist()
    ax.hist(
        [values[~is_novel], values[is_novel]],
        bins=bins,
        stacked=True,
        color=[COLORS[0], NOVEL_COLOR],
        label=[
            f"of a known type: {(~is_novel).sum():,}",
            f"novel: {is_novel.sum():,} ({is_novel.mean():.1%})",
        ]
        if len(values)
        else None,
    )
    threshold = _threshold(adata, values, is_novel)
    if threshold is not None:
        ax.axvline(threshold, color="black", linestyle="--", linewidth=1.2, label=f"threshold: {threshold:g}")
    ax.set(xlim=(0, 1), xlabel="novelty", ylabel="cells")
    ax.spines[["top", "right"]].set_visible(False)
    if len(values):
        ax.legend(frameon=False, fontsize=8)
    return ax


def _threshold(
    adata: AnnData, values: npt.NDArray[np.float64], is_novel: npt.NDArray[np.bool_]
) -> float | None:
    """Return the novelty under which no cell was called novel, where the cells agree with that."""
    parameters = adata.uns.get(keys.UNS, {}).get("parameters", {})
    stored = parameters.get("novelty_threshold")
    if stored is None:
        edge = 1 - float(parameters.get("novelty_rate", np.nan))
        return edge if (values[is_novel] >= edge - 1e-5).all() and not np.isnan(edge) else None
    low = (
        (adata.obs[keys.REASON].astype(str) == "low_quality").to_numpy()
        if keys.REASON in adata.obs
        else np.zeros(len(values), dtype=bool)
    )
    for threshold in (1 - float(stored), float(stored)):
        if ((values > threshold + 1e-6) == is_novel)[~low & (np.abs(values - threshold) > 1e-5)].all():
            return threshold
    return None


class RiskCoverage(NamedTuple):
    """The n cells in falling order of confidence: share answered, and the share of wrong answers among them.

    ``coverage``, ``risk``: float64 (n,). ``best_risk``, float64 (n,): that of a confidence which puts every right
    answer before every wrong one.
    """

    coverage: npt.NDArray[np.float64]
    risk: npt.NDArray[np.float64]
    best_risk: npt.NDArray[np.float64]

    @property
    def area(self) -> float:
        """Mean risk over all coverages (AURC, Geifman and El-Yaniv 2017)."""
        return float(self.risk.mean())

    @property
    def best_area(self) -> float:
        """The area that is left where confidence is perfect."""
        return float(self.best_risk.mean())


def risk_coverage_of(confidence: npt.NDArray[np.floating], is_right: npt.NDArray[np.bool_]) -> RiskCoverage:
    """Return the risk-coverage curve of answers, each with its confidence; cells that tie share their mean risk."""
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(~is_right[order])
    n = np.arange(1, len(order) + 1)
    ends = np.append(np.flatnonzero(np.diff(confidence[order]) != 0), len(order) - 1)
    risk = np.interp(n, n[ends], (wrong / n)[ends])
    return RiskCoverage(n / len(n), risk, np.maximum(n - is_right.sum(), 0) / n)


def answers(adata: AnnData, truth_key: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the confidence of every cell with a true type, and whether its best known type is that.

    Raises
    ------
    InputError, LabelError
        The cells are not annotated; no such column, no cell with a true type.
    """
    truth, forced = forced_choices(adata, truth_key)
    labelled = truth != ""
    if not labelled.any():
        raise LabelError(f"No cell has a true type: all of obs['{truth_key}'] is missing.")
    confidence = adata.obs[keys.CONFIDENCE].to_numpy(dtype=np.float64)
    return confidence[labelled], (truth == forced)[labelled]


def risk_coverage(adata: AnnData, truth_key: str, *, ax: Axes | None = None) -> Axes:
    """Draw the error rate among the surest cells against how many of them are answered.

    Parameters
    ----------
    adata
        Annotated cells. The best known type of each is judged; cells of types that the model does not know
        count as wrong, those without a true type are left out.
    truth_key
        Column of ``obs`` with the true types.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    InputError, LabelError
        The cells are not annotated; no such column, no cell with a true type.
    """
    curve = risk_coverage_of(*answers(adata, truth_key))
    ax = axes_or_new(ax, 4.4, 3.4)
    ax.plot(
        curve.coverage,
        curve.risk,
        color=COLORS[0],
        linewidth=1.8,
        label=f"by confidence (area {curve.area:.3f})",
    )
    ax.plot(
        curve.coverage,
        curve.best_risk,
        color="#777777",
        linewidth=1.2,
        linestyle=":",
        label=f"were confidence perfect (area {curve.best_area:.3f})",
    )
    ax.axhline(curve.risk[-1], color="#BBBBBB", linewidth=1, label=f"all cells: {curve.risk[-1]:.3f} wrong")
    ax.set(xlim=(0, 1), xlabel="share of cells answered, surest first", ylabel="wrong among them")
    ax.set_ylim(0, max(0.05, 1.35 * float(curve.risk.max())))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=8, loc="upper left")
    return ax
