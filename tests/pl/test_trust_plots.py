"""Novelty and risk-coverage pictures: what is drawn, by hand."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from annatac import keys, pl
from annatac.errors import InputError, LabelError
from annatac.pl.reliability_diagram import reliability_of
from annatac.pl.trust_plots import risk_coverage_of


@pytest.fixture
def annotated() -> ad.AnnData:
    """Five cells: a right, a wrong, a right, one of an unknown type and novel, one without a true type."""
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.55, 0.45], [0.6, 0.4]], dtype=np.float32)
    obs = pd.DataFrame(
        {
            keys.LABEL: ["a", "b", "a", keys.NOVEL_LABEL, "a"],
            keys.CONFIDENCE: p.max(1),
            keys.NOVELTY: 1 - p.max(1),
            keys.IS_NOVEL: [False, False, False, True, False],
            "truth": ["a", "a", "a", "x", None],
        },
        index=list("vwxyz"),
    )
    uns = {keys.UNS: {"classes": np.array(["a", "b"]), "parameters": {"novelty_threshold": 0.58}}}
    return ad.AnnData(obs=obs, obsm={keys.PROBABILITIES: p}, uns=uns)


def test_risk_coverage_by_hand():
    curve = risk_coverage_of(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]))
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.risk, [0, 1 / 2, 1 / 3, 1 / 2])
    assert curve.area == pytest.approx(np.mean([0, 1 / 2, 1 / 3, 1 / 2]))
    assert curve.best_area == pytest.approx(np.mean([0, 0, 1 / 3, 1 / 2]))
    tied = risk_coverage_of(np.array([0.5, 0.5]), np.array([True, False]))
    assert tied.risk.tolist() == [0.5, 0.5]  # the order of ties says nothing


def test_risk_coverage_leaves_cells_without_a_truth_out(annotated):
    ax = pl.risk_coverage(annotated, "truth")
    line = ax.get_lines()[0]
    np.testing.assert_allclose(line.get_xdata(), [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(line.get_ydata(), [0, 1 / 2, 1 / 3, 1 / 2])
    assert pl.risk_coverage(annotated, "truth", ax=ax) is ax
    annotated.obs["truth"] = None
    with pytest.raises(LabelError, match="No cell has a true type"):
        pl.risk_coverage(annotated, "truth")
    with pytest.raises(LabelError, match="no column 'truht'"):
        pl.risk_coverage(annotated, "truht")


def test_reliability_by_hand():
    confidence = np.array([0.95, 0.85, 0.95, 0.55, 1.0])
    found = reliability_of(confidence, np.array([True, False, True, True, False]), n_bins=10)
    assert found.n_cells.tolist() == [1, 1, 3]
    np.testing.assert_allclose(found.confidence, [0.55, 0.85, 2.9 / 3])
    np.testing.assert_allclose(found.accuracy, [1, 0, 2 / 3])
    assert found.error == pytest.approx((0.45 + 0.85 + 3 * (2.9 / 3 - 2 / 3)) / 5)
    # one cell of confidence 0.55 may be right or wrong; three of 0.967 are all right in 90 % of cases, two in 9.4 %
    np.testing.assert_allclose(found.low, [0, 0, 2 / 3])
    np.testing.assert_allclose(found.high, [1, 1, 1])


def test_reliability_leaves_cells_without_a_truth_out(annotated):
    ax = pl.reliability(annotated, "truth")
    assert "4 cells" in ax.get_legend().get_texts()[-1].get_text()
    assert pl.reliability(annotated, "truth", ax=ax) is ax
    annotated.obs["truth"] = None
    with pytest.raises(LabelError, match="No cell has a true type"):
        pl.reliability(annotated, "truth")


def test_novelty_counts_cells_and_draws_the_threshold(annotated):
    ax = pl.novelty(annotated)
    assert sum(patch.get_height() for patch in ax.containers[0]) == 4
    assert ax.get_lines()[0].get_xdata()[0] == pytest.approx(0.42)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "novel: 1 (20.0%)" in labels
    annotated.obs[keys.IS_NOVEL] = [True, False, False, False, False]  # another rule: no line is true
    assert not pl.novelty(annotated).get_lines()
    annotated.uns[keys.UNS]["parameters"] = {"novelty_rate": 0.6}
    assert not pl.novelty(annotated).get_lines()  # a novel cell lies under it
    annotated.obs[keys.IS_NOVEL] = [
        False,
        False,
        False,
        True,
        False,
    ]  # of two cells above it one: its type decides
    line = pl.novelty(annotated).get_lines()[0]
    assert line.get_xdata()[0] == pytest.approx(0.4)
    one = pl.novelty(annotated[:1].copy())
    assert sum(patch.get_height() for group in one.containers for patch in group) >= 1
    del annotated.obs[keys.NOVELTY]
    with pytest.raises(InputError, match="annatac_novelty"):
        pl.novelty(annotated)
