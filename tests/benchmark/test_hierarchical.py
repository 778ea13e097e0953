"""Scores of answers that may be ancestors, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from annatac.annotate.hierarchy import from_parents
from annatac.benchmark.hierarchical import safe_scores
from annatac.errors import InputError

TREE = from_parents(
    ["CD4", "CD8", "B", "Mono"],
    {"CD4": ["T"], "CD8": ["T"], "T": ["lymphoid"], "B": ["lymphoid"], "Mono": []},
)


def test_scores_by_hand():
    truth = ["CD4", "CD4", "CD8", "B", "Mono", "Mono"]
    answers = ["CD4", "T", "CD4", "lymphoid", "cell", "T"]
    scores = safe_scores(truth, answers, TREE)
    assert scores["safe_share_type"] == pytest.approx(2 / 6)
    assert scores["safe_share_ancestor"] == pytest.approx(3 / 6)
    assert scores["safe_share_root"] == pytest.approx(1 / 6)
    assert scores["safe_error"] == pytest.approx(2 / 6)
    assert scores["safe_error_type"] == pytest.approx(1 / 2)
    bits = [1, 1 - np.log(2) / np.log(4), 1, 1 - np.log(3) / np.log(4), 0, 1 - np.log(2) / np.log(4)]
    assert scores["safe_information"] == pytest.approx(np.mean(bits))
    # nodes but the root: answers 3 + 2 + 3 + 1 + 0 + 2 = 11, truths 3 + 3 + 3 + 2 + 1 + 1 = 13, shared 3 + 2 + 2 + 1
    assert scores["hierarchical_precision"] == pytest.approx(8 / 11)
    assert scores["hierarchical_recall"] == pytest.approx(8 / 13)
    assert scores["hierarchical_f1"] == pytest.approx(16 / 24)


def test_no_cell_is_nan_and_a_foreign_name_an_error():
    assert np.isnan(safe_scores([], [], TREE)["safe_error"])
    with pytest.raises(InputError, match="not in the hierarchy: NK"):
        safe_scores(["B"], ["NK"], TREE)
