"""Held-out scores: no cell is scored by what has seen it."""

from __future__ import annotations

import numpy as np
import torch

from annatac.model import Network
from annatac.train.crossfit import cross_fitted, parts_of
from annatac.train.finetune import FinetuneTask


def _task(tokens, recipe, labels=None, groups=None):
    cells, own = tokens
    labels = own if labels is None else labels

    def start() -> Network:
        torch.manual_seed(0)
        return Network(cells.shape[1], 3, recipe.model)

    held = np.arange(0, 120, 10)
    task = FinetuneTask(
        start(), cells, labels, recipe.finetune, training=np.setdiff1d(np.arange(120), held), held_out=held,
        seed=0, device=torch.device("cpu"), groups=groups,
    )  # fmt: skip
    return task, start


def test_every_training_cell_and_no_other_is_scored(tokens, debug, tmp_path):
    task, start = _task(tokens, debug())
    found = cross_fitted(task, start, n_epochs=1, folder=tmp_path)
    assert found.rows.tolist() == task.training.tolist()
    assert found.logits.shape == (len(task.training), 3)
    assert found.wide.shape == (2, len(task.training), 3)


def test_a_cells_label_does_not_reach_its_own_score(tokens, debug, tmp_path, monkeypatch):
    """Without the wide path (its tables come from the task) another label of a cell changes no score of its part."""
    recipe = debug(wide=False, dropout=0.0)
    task, start = _task(tokens, recipe)
    first = cross_fitted(task, start, n_epochs=1, folder=tmp_path / "a")
    part = parts_of(task)
    changed, _ = _task(tokens, recipe)
    cell = task.training[part == 0][0]
    changed.labels = task.labels.copy()
    changed.labels[cell] = (task.labels[cell] + 1) % 3
    changed.training, parts = task.training, part
    monkeypatch.setattr("annatac.train.crossfit.parts_of", lambda _: parts)
    second = cross_fitted(changed, start, n_epochs=1, folder=tmp_path / "b")
    same = np.isin(first.rows, task.training[part == 0])
    np.testing.assert_array_equal(first.logits[same], second.logits[same])
    assert not np.array_equal(first.logits[~same], second.logits[~same])


def test_the_wide_path_is_trusted_as_the_whole_network_trusts_it(tokens, debug, tmp_path):
    """Of what the logits hold, the wide path's part is that of the task's own gate and offsets."""
    task, start = _task(tokens, debug())
    assert task.network.wide is not None
    first = cross_fitted(task, start, n_epochs=1, folder=tmp_path / "a")
    before = task.network.wide.trust(torch.tensor([50.0]))
    with torch.no_grad():
        task.network.wide.offset += torch.tensor([1.0, 0.0, -2.0])
        task.network.wide.gate[2].bias += torch.tensor([0.5, 0.0])
    second = cross_fitted(task, start, n_epochs=1, folder=tmp_path / "b")
    assert (task.network.wide.trust(torch.tensor([50.0])) - before)[0, 0] > 0
    n_open = torch.from_numpy(np.diff(task.tokens.indptr)[first.rows]).float()
    with torch.no_grad():
        now = task.network.wide.trust(n_open).numpy()
        task.network.wide.gate[2].bias -= torch.tensor([0.5, 0.0])
        then = task.network.wide.trust(n_open).numpy()
    gain = np.einsum("smc,ms->mc", first.wide, now - then)
    with torch.no_grad():
        gain += task.network.wide.constants(n_open, torch.tensor([1.0, 0.0, -2.0])).numpy()
    np.testing.assert_array_equal(first.wide, second.wide)
    np.testing.assert_allclose(second.logits - first.logits, gain, atol=1e-4)


def test_donors_stay_together(tokens, debug):
    groups = np.repeat(list("abcd"), 30)
    task, _ = _task(tokens, debug(), groups=groups)
    part, own = parts_of(task), groups[task.training]
    assert set(part) == {0, 1}
    assert all(len(set(part[own == name])) == 1 for name in "abcd")


def test_a_type_of_one_part_is_left_out(tokens, debug, tmp_path):
    labels = np.zeros(120, dtype=np.int64)
    labels[60:] = 1
    labels[1] = 2  # the only cell of its type
    task, start = _task(tokens, debug(), labels=labels)
    found = cross_fitted(task, start, n_epochs=0, folder=tmp_path)
    assert 1 not in found.rows
    assert len(found.rows) == len(task.training) - 1
