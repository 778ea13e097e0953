"""Labels that are probably wrong: found where there are any, and not looked for where there are none."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import annatac
from annatac.annotate.fit import new_network
from annatac.benchmark.protocols import noisy
from annatac.config import Recipe
from annatac.errors import AnnatacWarning
from annatac.pp import openness_classes, peak_islands
from annatac.simulate import simulate_cells
from annatac.train.finetune import wide_tables
from annatac.train.mislabelled import SURE, doubts, explained, improbable

RECIPE = Recipe.load("debug")
FOUR_FOLDS = replace(RECIPE, finetune=replace(RECIPE.finetune, wide_folds=4))


def _doubts(cells, label_key, recipe, groups=None):
    """Judge the labels of simulated cells."""
    codes = pd.Categorical(cells.obs[label_key]).codes.astype(np.int64)
    tokens = openness_classes(peak_islands(cells).X)
    network = new_network(tokens, codes.max() + 1, recipe, None, 0)
    return doubts(wide_tables(network, tokens, codes, recipe.finetune, 0, groups), tokens, codes)


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
        annatac.finetune(
            reference, label_key="wrong", output=tmp_path / "m", recipe=FOUR_FOLDS, calibrate=False
        )
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
            reference, label_key="cell_type", output=tmp_path / "m", recipe=FOUR_FOLDS, calibrate=False
        )
    model = annatac.load(tmp_path / "m").artifact
    assert model.mislabelled is None
    assert model.training["n_cells"] == 500
    assert not (tmp_path / "m" / "mislabelled.tsv").exists()


def test_small_references_with_right_labels_are_left_alone():
    for seed in range(6):
        cells = simulate_cells(120, cell_types=3, n_islands=2000, open_islands=400, seed=seed)
        assert not _doubts(cells, "cell_type", RECIPE).wrong.any(), f"seed {seed}"


def test_a_share_that_chance_explains_is_no_reason():
    """30 cells, one of a wrong label: 3 % are over the least share, yet no evidence."""
    torch.manual_seed(0)
    labels = torch.arange(30) % 3
    scores = 4 * nn.functional.one_hot(labels, 3).float() + torch.randn(30, 3)
    found = explained(scores[None], labels, torch.ones(30))
    wrong = labels.clone()
    wrong[0] = 1
    one = explained(scores[None], wrong, torch.ones(30))
    assert found.evidence <= one.evidence < SURE
    many = wrong.repeat(20)
    assert explained(scores.repeat(20, 1)[None], many, torch.ones(600)).evidence > SURE


def test_cells_that_look_otherwise_in_one_batch_only_are_left_alone(tmp_path):
    """A fourth type's cells are called the first's, in the batch `b` alone: tables without `b` know none such."""
    cells = simulate_cells(600, cell_types=4, n_islands=2000, open_islands=400, seed=2)
    first, *_, last = np.unique(cells.obs["cell_type"])
    is_last = (cells.obs["cell_type"] == last).to_numpy()
    cells = cells[~is_last | (is_last.cumsum() <= 40)].copy()
    truth = cells.obs["cell_type"].astype(str).to_numpy()
    other = truth == last
    cells.obs["cell_type"] = np.where(other, first, truth)
    in_b = other | (np.random.default_rng(0).random(cells.n_obs) < 0.1)
    cells.obs["batch"] = np.where(in_b, "b", np.where(np.arange(cells.n_obs) % 2, "a", "c"))
    assert _doubts(cells, "cell_type", FOUR_FOLDS, cells.obs["batch"].to_numpy()).wrong.sum() > 20
    annatac.finetune(
        cells,
        label_key="cell_type",
        batch_key="batch",
        output=tmp_path / "m",
        recipe=FOUR_FOLDS,
        calibrate=False,
    )
    assert annatac.load(tmp_path / "m").artifact.mislabelled is None


def test_all_cells_are_kept_where_that_is_asked(reference, tmp_path):
    keep = replace(FOUR_FOLDS, finetune=replace(FOUR_FOLDS.finetune, mislabelled="keep"))
    annatac.finetune(reference, label_key="wrong", output=tmp_path / "m", recipe=keep, calibrate=False)
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
