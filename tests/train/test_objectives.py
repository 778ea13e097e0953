"""Objectives of pre-training: by hand, and what they may not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import annatac
from annatac.config import ModelConfig, PretrainConfig
from annatac.corpus.cells import CsrCells
from annatac.model.network import Network
from annatac.model.tokens import MASK_CLASS
from annatac.train.objectives import OBJECTIVES, Setting, Terms
from annatac.train.objectives.terms import popularity

CPU = torch.device("cpu")


@pytest.fixture
def setting(tokens, debug):
    def make(**changes) -> Setting:
        cells, _ = tokens
        model = debug(**{k: v for k, v in changes.items() if hasattr(ModelConfig, k)}).model
        torch.manual_seed(0)
        config = PretrainConfig(**{k: v for k, v in changes.items() if not hasattr(ModelConfig, k)})
        shares = popularity(np.asarray(cells.mean(0)).ravel())
        return Setting(Network(cells.shape[1], 0, model).eval(), CsrCells(cells), config, shares, 0, CPU)

    return make


ROWS = np.array([3, 50, 99, 7])


def asked(name: str, setting: Setting, rows: np.ndarray, epoch: int) -> Terms:
    objective = OBJECTIVES[name]
    return objective.terms(setting.network, objective.ask(setting, rows, epoch))


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_a_question_is_asked_alike_every_time_and_anew_each_epoch(setting, name):
    made = setting(thinning=0.5)
    first, again, other = (asked(name, made, ROWS, epoch) for epoch in (2, 2, 3))
    assert first.n == again.n > 0
    assert first.loss == again.loss
    assert first.loss != other.loss
    first.loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in made.network.encoder.parameters())


@pytest.mark.parametrize("name", ["openness", "open_closed"])
def test_cells_do_not_depend_on_their_batch(setting, name):
    made = setting()
    together = asked(name, made, ROWS, 1)
    alone = [asked(name, made, ROWS[i : i + 1], 1) for i in range(4)]
    assert together.n == sum(terms.n for terms in alone)
    assert together.loss.item() == pytest.approx(sum(terms.loss.item() for terms in alone), rel=1e-5)


def test_closed_islands_are_closed_and_as_many_as_open_ones(setting, tokens):
    batch, picked, target = OBJECTIVES["open_closed"].ask(setting(), ROWS, 0)
    cell = picked.at // picked.tokens_BM.shape[1]
    token = picked.tokens_BM.flatten()[picked.at]
    islands = batch.islands_BN[cell, token]
    is_open = np.asarray(tokens[0].toarray()[ROWS[cell.numpy()], islands.numpy()]) > 0
    assert (batch.classes_BN[cell, token] == MASK_CLASS).all(), "open and closed look the same"
    assert 0.3 < is_open.mean() < 0.7
    assert np.array_equal(target.numpy() > 0, is_open)
    pairs = list(zip(cell.tolist(), islands.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs), "no island is asked twice"


def test_open_closed_in_the_dense_form(setting):
    """Where closed islands are tokens too, the question stands at the island."""
    terms = asked("open_closed", setting(closed="keep"), ROWS, 0)
    assert terms.n > 0
    assert torch.isfinite(terms.loss)


def test_halves_share_no_island(setting, monkeypatch):
    made, seen = setting(), []
    pooled = Network.pooled
    monkeypatch.setattr(Network, "pooled", lambda self, batch: (seen.append(batch), pooled(self, batch))[1])
    asked("contrast", made, ROWS, 0)
    first, second = seen
    assert not (first.real_BN & second.real_BN).any()
    whole = first.n_open_B + second.n_open_B
    assert torch.equal(whole.long(), torch.from_numpy(made.cells.n_open[ROWS]).long())
    assert ((first.n_open_B - second.n_open_B).abs() <= 1).all()


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_each_objective_is_learnt(debug, tmp_path, name):
    from annatac.simulate import simulate_cells

    cells = simulate_cells(150, cell_types=3, n_islands=150, open_islands=60, seed=2)
    recipe = debug(epochs=6, batch_size=25, learning_rate=1e-2, warmup_steps=0, objective=name)
    annatac.pretrain(cells, output=tmp_path / "base", recipe=recipe)
    from annatac.train.runlog import read_run_log

    events = [e for e in read_run_log(tmp_path / "base" / "run.jsonl") if e["event"] == "epoch"]
    assert events[-1]["train_loss"] < events[0]["train_loss"] - 0.01
