from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from annatac.benchmark import metrics
from annatac.errors import InputError

# 10 cells: a 6 true (5 hit, 1 called b), b 3 true (2 hit, 1 called a), c 1 true (called a)
TRUTH = list("aaaaaabbbc")
PREDICTED = list("aaaaabbbaa")


def test_by_hand():
    assert metrics.accuracy(TRUTH, PREDICTED) == pytest.approx(0.7)
    f1_a, f1_b = 2 * 5 / (6 + 7), 2 * 2 / (3 + 3)
    assert metrics.macro_f1(TRUTH, PREDICTED) == pytest.approx((f1_a + f1_b + 0) / 3)
    chance = (6 * 7 + 3 * 3 + 1 * 0) / 100
    assert metrics.cohen_kappa(TRUTH, PREDICTED) == pytest.approx((0.7 - chance) / (1 - chance))
    assert metrics.jaccard_micro(TRUTH, PREDICTED) == pytest.approx(7 / 13)
    jaccard_a, jaccard_b = 5 / (5 + 1 + 2), 2 / (2 + 1 + 1)
    assert metrics.jaccard_weighted(TRUTH, PREDICTED) == pytest.approx(
        (6 * jaccard_a + 3 * jaccard_b + 0) / 10
    )


def test_per_type_by_hand():
    table = metrics.per_type(TRUTH, PREDICTED, ["a", "b", "c", "never"])
    assert table["n"].tolist() == [6, 3, 1, 0]
    assert table.loc["a", "precision"] == pytest.approx(5 / 7)
    assert table.loc["a", "recall"] == pytest.approx(5 / 6)
    assert np.isnan(table.loc["c", "precision"])
    assert np.isnan(table.loc["never", "recall"])


def test_confusion_counts_only_what_is_asked_for():
    table = metrics.confusion(TRUTH, PREDICTED, ["b", "a"], ["a", "b", "z"])
    expected = pd.crosstab(pd.Series(TRUTH), pd.Series(PREDICTED))
    assert table.loc["a", "b"] == expected.loc["a", "b"] == 1
    assert table.loc["b"].tolist() == [1, 2, 0]
    assert table.to_numpy().sum() == 9  # the cell of type c has no row


def test_one_type_only_has_no_kappa():
    assert np.isnan(metrics.cohen_kappa(["a", "a"], ["a", "a"]))
    assert np.isnan(metrics.scores([], [])["accuracy"])


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (["a"], ["a", "b"], r"shape \(1,\), prediction \(2,\)"),
        ([], [], "No cell to compare"),
        (["a", None], ["a", "b"], "1 names are missing"),
    ],
)
def test_bad_input(truth, predicted, message):
    with pytest.raises(InputError, match=message):
        metrics.accuracy(truth, predicted)
