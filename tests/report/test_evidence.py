"""What a report says of the islands that the model went by."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import annatac
from annatac import tl
from annatac.errors import AnnatacWarning
from annatac.report import report
from annatac.report.cells import cells_of
from annatac.report.evidence import CELLS_A_TYPE, evidence_of
from annatac.report.markers import marker_table
from annatac.simulate import simulate_cells


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    cells = simulate_cells(600, cell_types=3, n_islands=800, open_islands=200, donors=1, seed=1)
    reference, query = cells[::2].copy(), cells[1::2].copy()
    model = annatac.finetune(
        reference, label_key="cell_type", output=tmp_path_factory.mktemp("model") / "m", recipe="debug"
    )
    tl.annotate(query, model)
    return query, model


def test_the_islands_are_those_of_the_attribution(annotated):
    query, model = annotated
    found = evidence_of(query, cells_of(query), model, None, genes=None, seed=0)
    called = query.obs["annatac_label"].value_counts()
    assert set(found) == {name for name in model.classes if called[name]}
    for name, evidence in found.items():
        assert evidence.n_cells == min(CELLS_A_TYPE, called[name])
        values = [row["mean_contribution"] for row in evidence.rows]
        assert values == sorted(values, reverse=True)
        assert values[-1] > 0
        assert {row["island"] for row in evidence.rows} <= set(model.artifact.universe.names)
        assert evidence.n_shared is None


def test_agreement_with_the_markers(annotated):
    query, model = annotated
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnnatacWarning)
        markers = tl.markers(query, "annatac_label")
    table = marker_table(markers, n_top=100)
    found = evidence_of(query, cells_of(query), model, table, genes=None, seed=0)
    compared = [e for e in found.values() if e.n_shared is not None]
    assert compared
    for evidence in compared:
        assert 0 <= evidence.n_shared <= evidence.n_compared <= 100
    assert np.mean([e.n_shared for e in compared]) > 1.5 * np.mean([e.n_expected for e in compared])


def test_the_page_shows_it(annotated, tmp_path):
    query, model = annotated
    text = report(query, tmp_path / "with.html", model=model).read_text(encoding="utf-8")
    assert "Evidence: the islands that the model went by" in text
    assert evidence_of(query, cells_of(query), model, None, genes=None, seed=0)[
        query.obs["annatac_label"].mode()[0]
    ].rows[0]["island"] in text  # fmt: skip
    without = report(query, tmp_path / "without.html").read_text(encoding="utf-8")
    assert "the model went by" not in without


def test_cells_without_counts_go_without(annotated, tmp_path):
    query, model = annotated
    bare = query.copy()
    bare.X = bare.X.astype(np.float32) * 0.3
    with pytest.warns(AnnatacWarning, match="The report has no attributions"):
        report(bare, tmp_path / "bare.html", model=model, compute_markers=False)
