"""How well predicted cell types agree with true ones. Truth first, prediction second, one name a cell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn import metrics as sk

from annatac.errors import InputError


def accuracy(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the share of cells whose predicted type is the true one."""
    truth, predicted = _checked(truth, predicted)
    return float(np.mean(truth == predicted))


def macro_f1(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the mean F1 over the types, each type counting the same.

    The types are those that occur in the truth or in the prediction, as in scikit-learn; a type that is
    predicted but never true counts with an F1 of 0.
    """
    truth, predicted = _checked(truth, predicted)
    return float(sk.f1_score(truth, predicted, average="macro", zero_division=0))


def cohen_kappa(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return Cohen's kappa: agreement beyond what chance gives; NaN where only one type occurs."""
    truth, predicted = _checked(truth, predicted)
    if len(np.union1d(truth, predicted)) < 2:
        return float("nan")
    return float(sk.cohen_kappa_score(truth, predicted))


def jaccard_micro(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return hits / (hits + misses + false alarms), summed over all types before dividing."""
    truth, predicted = _checked(truth, predicted)
    return float(sk.jaccard_score(truth, predicted, average="micro", zero_division=0))


def jaccard_weighted(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the mean of the types' Jaccard indices, weighted by their number of true cells."""
    truth, predicted = _checked(truth, predicted)
    return float(sk.jaccard_score(truth, predicted, average="weighted", zero_division=0))


def balanced_accuracy(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return the mean recall over the types that occur in the truth, each type counting the same."""
    truth, predicted = _checked(truth, predicted)
    return float(np.mean([np.mean(predicted[truth == name] == name) for name in set(truth)]))


def calibration_error(
    truth: ArrayLike, predicted: ArrayLike, confidence: ArrayLike, *, n_bins: int = 15
) -> float:
    """Return the expected calibration error: mean |accuracy - confidence| over bins, weighted by their cells.

    Bins are of equal width over confidences of 0 to 1 (Guo et al. 2017).
    """
    truth, predicted = _checked(truth, predicted)
    sure = np.asarray(confidence, dtype=float)
    if sure.shape != truth.shape or not ((sure >= 0) & (sure <= 1)).all():
        raise InputError(f"Expected {len(truth)} confidences from 0 to 1, found shape {sure.shape}.")
    bins = np.minimum((sure * n_bins).astype(int), n_bins - 1)
    gap = np.bincount(bins, weights=(truth == predicted) - sure, minlength=n_bins)
    return float(np.abs(gap).sum() / len(truth))


#: The metrics of the annATAC paper, in the order in which they are reported.
METRICS: dict[str, Callable[[ArrayLike, ArrayLike], float]] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "cohen_kappa": cohen_kappa,
    "jaccard_micro": jaccard_micro,
    "jaccard_weighted": jaccard_weighted,
}


def scores(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Return every metric of :data:`METRICS`; NaN throughout where there is no cell."""
    if not len(np.asarray(truth)):
        return dict.fromkeys(METRICS, float("nan"))
    return {name: metric(truth, predicted) for name, metric in METRICS.items()}


def per_type(truth: ArrayLike, predicted: ArrayLike, types: ArrayLike) -> pd.DataFrame:
    """Return ``n`` (true cells), ``precision``, ``recall`` and ``f1`` of each of ``types``, in that order.

    A precision is NaN where the type is never predicted, a recall where it is never true.
    """
    truth, predicted = _checked(truth, predicted)
    names = np.asarray(types, dtype=object)
    precision, recall, f1, n = sk.precision_recall_fscore_support(
        truth, predicted, labels=list(names), zero_division=np.nan
    )
    return pd.DataFrame(
        {"n": n.astype(np.int64), "precision": precision, "recall": recall, "f1": f1},
        index=pd.Index(names, name="cell_type"),
    )


def confusion(truth: ArrayLike, predicted: ArrayLike, rows: ArrayLike, columns: ArrayLike) -> pd.DataFrame:
    """Return the number of cells of each true type (``rows``) that got each predicted type (``columns``)."""
    truth, predicted = _checked(truth, predicted)
    row_names, column_names = pd.Index(np.asarray(rows, object)), pd.Index(np.asarray(columns, object))
    row, column = row_names.get_indexer(truth), column_names.get_indexer(predicted)
    counts = np.zeros((len(row_names), len(column_names)), dtype=np.int64)
    inside = (row >= 0) & (column >= 0)
    np.add.at(counts, (row[inside], column[inside]), 1)
    return pd.DataFrame(counts, index=row_names.rename("truth"), columns=column_names.rename("predicted"))


def _checked(truth: ArrayLike, predicted: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return both as object arrays of the same length, at least one cell, no missing value."""
    true, guess = np.asarray(truth, dtype=object), np.asarray(predicted, dtype=object)
    if true.shape != guess.shape or true.ndim != 1:
        raise InputError(f"Truth has shape {true.shape}, prediction {guess.shape}; expected one name a cell.")
    if not len(true):
        raise InputError("No cell to compare: truth and prediction are empty.")
    if n_missing := int(pd.isna(true).sum() + pd.isna(guess).sum()):
        raise InputError(
            f"{n_missing} names are missing (NaN) in truth or prediction: leave these cells out."
        )
    return true, guess
