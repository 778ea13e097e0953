"""Labels that are probably wrong: found where there are any, and not looked for where there are none."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import annatac
from annatac.benchmark.protocols import noisy
from annatac.config import Recipe
from annatac.errors import AnnatacWarning
from annatac.simulate import simulate_cells
from annatac.train.mislabelled import improbable

RECIPE = Recipe.load("debug")
DROP = replace(RECIPE, finetune=replace(RECIPE.finetune, mislabelled="drop", wide_folds=4))


@pytest.fixture(scope="module")
def reference():
    """500 cells of 3 types; a fifth of the labels in `wrong` are another type's."""
    cells = simulate_cells(500, cell_types=3, n_islands=2000, open_islands=400, seed=2)
    truth = cells.obs["cell_type"].astype(str).to_numpy()
    cells.obs["cell_type"] = truth
    cells.obs["wrong"] = noisy(truth.astype(object), 0.2, np.random.default_rng(0)).astype(str)
    return cells


def test_wrong_labels_are_found_left_out_and_listed(reference, tmp_path):
    with pytest.warns(AnnatacWarning, match=r"look mislabelled and are left out: .*mislabelled\.tsv"):
        annatac.finetune(reference, label_key="wrong", output=tmp_path / "m", recipe=DROP, calibrate=False)
    model = annatac.load(tmp_path / "m").artifact
    listed = model.mislabelled
    is_wrong = reference.obs["wrong"] != reference.obs["cell_type"]
    found = reference.obs_names.isin(listed["cell"])
    assert (found & is_wrong).sum() > 0.8 * is_wrong.sum()
    assert (found & is_wrong).sum() > 0.85 * found.sum()
    assert model.training["share_mislabelled"] == pytest.approx(0.2, abs=0.03)
    assert model.training["n_cells"] == 500 - len(listed) == sum(model.training["cells_per_type"].values())
    own = reference.obs.loc[listed["cell"]]
    assert (own["wrong"].to_numpy() == listed["label"]).all()
    assert (own["cell_type"].to_numpy() == listed["looks_like"]).mean() > 0.8
    assert listed["probability_right"].is_monotonic_increasing
    assert (listed["probability_right"] < 0.5).all()
    assert f"{len(listed)} more look mislabelled" in (tmp_path / "m" / "README.md").read_text()


def test_right_labels_are_left_alone(reference, tmp_path):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*mislabelled")
        annatac.finetune(
            reference, label_key="cell_type", output=tmp_path / "m", recipe=DROP, calibrate=False
        )
    model = annatac.load(tmp_path / "m").artifact
    assert model.mislabelled is None
    assert model.training["n_cells"] == 500
    assert not (tmp_path / "m" / "mislabelled.tsv").exists()


def test_all_cells_are_kept_unless_asked(reference, tmp_path):
    annatac.finetune(reference, label_key="wrong", output=tmp_path / "m", recipe="debug", calibrate=False)
    model = annatac.load(tmp_path / "m").artifact
    assert model.mislabelled is None
    assert model.training["n_cells"] == 500


def test_no_type_loses_more_than_twice_the_share_nor_its_only_cell():
    labels = np.repeat([0, 1, 2], [100, 20, 1])
    wrong = improbable(np.zeros(121), labels, 0.1)
    assert pd.Series(wrong).groupby(labels).sum().tolist() == [20, 4, 0]
    assert pd.Series(improbable(np.zeros(121), labels, 0.9)).groupby(labels).sum().tolist() == [50, 10, 0]
    assert not improbable(np.zeros(121), labels, 0.01).any()  # too few to look for
    right = np.linspace(0, 1, 121)
    assert (np.flatnonzero(improbable(right, labels, 0.1)) == np.arange(20)).all()
