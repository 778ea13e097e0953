"""Figures of one task: what a method said against the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from annatac.benchmark import metrics
from annatac.benchmark.intervals import bootstrap
from annatac.errors import InputError

Names = npt.NDArray[np.object_]


def judge(
    truth: Names,
    probabilities: npt.NDArray[np.floating[Any]],
    classes: Sequence[str],
    known: set[str],
    *,
    score_unknown: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the figures of one task as plain values.

    Parameters
    ----------
    truth
        True types, (n,).
    probabilities, classes
        What the method gave: (n, C) and C names.
    known
        Types of the reference. Query cells of other types are left out of every figure but ``n_unknown`` and
        ``unknown_auroc`` (how well 1 - confidence tells them from the rest): no call would be right.
    score_unknown
        Count them as errors instead.

    Returns
    -------
    ``scores``: name -> [value, low, high] (95 % bootstrap interval over cells, None where there is none), for the
    metrics of the paper, ``balanced_accuracy`` and ``calibration_error``. ``per_type``: type -> n, precision,
    recall, f1. ``unknown``: type -> n and the call made most often. ``cells``: judged rows of the query, truth and
    call as numbers of ``names``, confidence.

    Raises
    ------
    InputError
        The method's probabilities are not one row a cell, one column a type, finite, from 0 to 1.
    """
    if probabilities.shape != (len(truth), len(classes)) or not np.isfinite(probabilities).all():
        raise InputError(
            f"The method gave probabilities of shape {probabilities.shape} "
            f"({int((~np.isfinite(probabilities)).sum())} not finite); expected finite ones of shape "
            f"({len(truth)}, {len(classes)})."
        )
    if probabilities.min() < -1e-6 or not np.allclose(probabilities.sum(1), 1, atol=1e-3):
        raise InputError("The method's probabilities do not sum to 1, or some are negative.")
    call = np.asarray(classes, dtype=object)[probabilities.argmax(1)]
    confidence = np.clip(probabilities.max(1).astype(float), 0, 1)
    is_known = np.isin(truth.astype(str), sorted(known))
    judged = np.ones(len(truth), dtype=bool) if score_unknown else is_known
    if not judged.any():
        raise InputError(
            f"None of the query's types ({', '.join(sorted(set(truth))[:5])}) is in the reference: nothing to judge."
        )
    t, c = truth[judged], call[judged]
    scores: dict[str, list[float | None]] = {}
    limits = bootstrap(t, c, np.random.default_rng([seed, 0xB007]))
    values = {**metrics.scores(t, c), "balanced_accuracy": metrics.balanced_accuracy(t, c)}
    for name, value in values.items():
        low, high = limits.get(name, (math.nan, math.nan))
        scores[name] = [_plain(value), _plain(low), _plain(high)]
    scores["calibration_error"] = [metrics.calibration_error(t, c, confidence[judged]), None, None]
    if not is_known.all() and is_known.any():
        scores["unknown_auroc"] = [float(roc_auc_score(~is_known, 1 - confidence)), None, None]
    types = sorted(set(t))
    per_type = metrics.per_type(t, c, types)
    names = sorted(set(t) | set(c))
    number = {name: i for i, name in enumerate(names)}
    unknown = sorted(set(truth[~is_known]))
    return {
        "n_cells": int(judged.sum()),
        "n_unknown": int((~is_known).sum()),
        "scores": scores,
        "per_type": {
            name: {key: _plain(value) for key, value in row.items()} for name, row in per_type.iterrows()
        },
        "unknown": {
            name: {"n": int((truth == name).sum()), "most_often": _most_often(call[truth == name])}
            for name in unknown
        },
        "cells": {
            "names": names,
            "index": np.flatnonzero(judged).tolist(),
            "truth": [number[name] for name in t],
            "call": [number[name] for name in c],
            "confidence": confidence[judged].round(4).tolist(),
        },
    }


def _most_often(calls: Names) -> str:
    names, n = np.unique(calls.astype(str), return_counts=True)
    return str(names[n.argmax()])


def _plain(value: Any) -> float | int | None:
    number = value.item() if isinstance(value, np.generic) else value
    if isinstance(number, float) and not math.isfinite(number):
        return None
    return number
