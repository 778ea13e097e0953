"""How sure a figure is: metrics of many resampled confusion tables at once, and differences between methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]
RESAMPLED = ("accuracy", "macro_f1", "cohen_kappa", "jaccard_micro", "jaccard_weighted", "balanced_accuracy")


def confusion_scores(counts: Floats) -> dict[str, Floats]:
    """Return every metric of ``RESAMPLED`` for B confusion tables at once.

    Parameters
    ----------
    counts
        (B, K, K), cells by true type (rows) and call (columns), the same K names on both sides.

    Returns
    -------
    Float arrays (B,), equal to :mod:`annatac.benchmark.metrics` on the cells of each table.
    """
    counts = np.asarray(counts, dtype=float)
    hits = np.diagonal(counts, axis1=1, axis2=2)
    true, called = counts.sum(2), counts.sum(1)
    n = true.sum(1)
    union = true + called - hits
    occurs = union > 0
    f1 = _ratio(2 * hits, true + called)
    expected = (true * called).sum(1) / n**2
    accuracy = hits.sum(1) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = np.where(occurs.sum(1) > 1, (accuracy - expected) / (1 - expected), np.nan)
    return {
        "accuracy": accuracy,
        "macro_f1": f1.sum(1) / occurs.sum(1),
        "cohen_kappa": kappa,
        "jaccard_micro": hits.sum(1) / union.sum(1),
        "jaccard_weighted": (_ratio(hits, union) * true).sum(1) / n,
        "balanced_accuracy": _ratio(hits, true).sum(1) / (true > 0).sum(1),
    }


def bootstrap(
    truth: Names, call: Names, random: np.random.Generator, *, n_draws: int = 500, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Return the percentile interval of each metric over cells drawn with replacement.

    To draw n cells with replacement is to draw the counts of the distinct (truth, call) pairs from a multinomial.
    The interval holds what the choice of query cells does; training again moves a figure as well (see the spread
    over seeds).
    """
    names, coded = np.unique(np.concatenate([truth, call]).astype(str), return_inverse=True)
    pair = coded[: len(truth)] * len(names) + coded[len(truth) :]
    pairs, n_cells = np.unique(pair, return_counts=True)
    draws = random.multinomial(len(truth), n_cells / len(truth), size=n_draws)
    counts = np.zeros((n_draws, len(names) ** 2))
    counts[:, pairs] = draws
    scores = confusion_scores(counts.reshape(n_draws, len(names), len(names)))
    tail = 100 * (1 - level) / 2
    return {
        name: (float(np.nanpercentile(values, tail)), float(np.nanpercentile(values, 100 - tail)))
        for name, values in scores.items()
        if np.isfinite(values).any()
    }


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The judged cells of one task: row in the data set, true type and call, (n,) each."""

    rows: npt.NDArray[np.int64]
    truth: Names
    call: Names


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Ours minus theirs: mean, 95 % interval and two-sided p-value over cells drawn with replacement."""

    mean: float
    low: float
    high: float
    p: float


def paired_difference(
    ours: Sequence[Cells],
    theirs: Sequence[Cells],
    metric: str,
    random: np.random.Generator,
    *,
    n_draws: int = 500,
) -> Difference:
    """Return how two methods differ over the same tasks, cell by cell.

    Parameters
    ----------
    ours, theirs
        The same tasks in the same order: the same rows and truths, other calls. A cell that is judged in several
        tasks (seeds, repeats) is drawn with all of them, since its calls are not independent.
    metric
        One of ``RESAMPLED``; its mean over the tasks is compared.

    Raises
    ------
    ValueError
        The tasks are not the same.
    """
    rows = np.unique(np.concatenate([one.rows for one in ours]))
    weight = random.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=n_draws)
    weight = np.vstack([np.ones(len(rows), dtype=weight.dtype), weight])  # first: the cells as they are
    total = np.zeros(len(weight))
    for one, other in zip(ours, theirs, strict=True):
        if not (np.array_equal(one.rows, other.rows) and np.array_equal(one.truth, other.truth)):
            raise ValueError("The two methods were judged on different cells.")
        own = weight[:, np.searchsorted(rows, one.rows)]
        total += _weighted(one, own, metric) - _weighted(other, own, metric)
    total /= len(ours)
    draws = total[1:]
    beyond = min((draws <= 0).mean(), (draws >= 0).mean())
    p = min(1.0, 2 * max(beyond, 1 / len(draws)))
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return Difference(mean=float(total[0]), low=float(low), high=float(high), p=float(p))


def _weighted(cells: Cells, weight: npt.NDArray[np.int64], metric: str) -> Floats:
    names, coded = np.unique(np.concatenate([cells.truth, cells.call]).astype(str), return_inverse=True)
    pair = coded[: len(cells.truth)] * len(names) + coded[len(cells.truth) :]
    counts = np.zeros((len(weight), len(names) ** 2))
    for p in np.unique(pair):
        counts[:, p] = weight[:, pair == p].sum(1)
    return confusion_scores(counts.reshape(len(weight), len(names), len(names)))[metric]


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole > 0)
