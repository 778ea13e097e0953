"""The loop: schedules, accumulation, early stopping, the best epoch, NaN, and the run log."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from annatac.config import FinetuneConfig, OptimConfig
from annatac.errors import AnnatacError, OutputError
from annatac.model import Network
from annatac.train import loop
from annatac.train.finetune import FinetuneTask
from annatac.train.loop import BatchLoss, learning_rate, run
from annatac.train.runlog import RunLog, read_run_log


class Scripted:
    """A task of one weight that steps by known gradients, and whose held-out scores are written down."""

    phase = "scripted"
    fingerprint = "scripted"

    def __init__(self, scores: list[float | None], losses: list[float] | None = None) -> None:
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.network.weight)
        self.scores, self.losses, self.seen = list(scores), losses, []

    def batches(self, epoch):
        return [np.array([0, 1]), np.array([2])]

    def read(self, rows, epoch):
        return rows, epoch

    def loss(self, read):
        rows, epoch = read
        self.seen.append((epoch, rows.tolist()))
        factor = 1.0 if self.losses is None else self.losses[epoch]
        return BatchLoss((self.network(torch.ones(1, 1)) + 1).sum() * factor, len(rows))

    def validate(self):
        score = self.scores.pop(0)
        return {} if score is None else {"loss": -score, "score": score}


def settings(**changes) -> OptimConfig:
    return OptimConfig(**({"epochs": 6, "warmup_steps": 0, "patience": 2, "weight_decay": 0.0} | changes))


# --------------------------------------------------------------------------------------- schedules


def test_step_schedule_by_hand():
    config = OptimConfig(learning_rate=1e-2, schedule="step", step_epochs=4, step_gamma=0.3, warmup_steps=0)
    rates = [learning_rate(config, 0, epoch, 100) for epoch in range(9)]
    np.testing.assert_allclose(rates, [1e-2] * 4 + [3e-3] * 4 + [9e-4])


def test_cosine_schedule_by_hand():
    config = OptimConfig(learning_rate=1.0, schedule="cosine", warmup_steps=0)
    rates = [learning_rate(config, step, 0, 100) for step in (0, 25, 50, 100, 120)]
    quarter = 0.02 + 0.98 * (1 + math.sqrt(0.5)) / 2
    np.testing.assert_allclose(rates, [1.0, quarter, 0.51, 0.02, 0.02])


def test_warm_up_by_hand():
    config = OptimConfig(learning_rate=1.0, schedule="step", warmup_steps=4)
    assert [learning_rate(config, step, 0, 100) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_the_schedule_reaches_the_optimiser(tmp_path, monkeypatch):
    """Adam's first steps are as long as the rate: the weight walks by the sum of the rates."""
    task = Scripted([0.0] * 4)
    config = settings(epochs=3, learning_rate=0.1, schedule="step", step_epochs=1, step_gamma=0.5, patience=9)
    torch.manual_seed(0)
    run(task, config, tmp_path / "run", seed=0)
    # two batches an epoch, constant gradient: 2 x (0.1 + 0.05 + 0.025)
    assert task.network.weight.item() == pytest.approx(-0.35, rel=1e-4)


# ------------------------------------------------------------------------- best epoch and stopping


def test_early_stopping_and_the_best_epoch(tmp_path):
    task = Scripted([0.1, 0.5, 0.7, 0.6, 0.7, 0.9, 0.9])
    trained = run(task, settings(), tmp_path / "run", seed=0)
    # best at epoch 1 (0.7), which 0.6 and an equal 0.7 do not beat; the 0.9 is never reached
    assert trained.best_epoch == 1
    assert [figures["score"] for figures in trained.history] == [0.5, 0.7, 0.6, 0.7]
    best = trained.best["weight"].item()
    assert best > task.network.weight.item(), "the weights returned are those of the best epoch"


def test_the_weights_at_the_start_may_be_the_best(tmp_path):
    trained = run(Scripted([0.9, 0.5, 0.6, 0.7]), settings(), tmp_path / "run", seed=0)
    assert trained.best_epoch == -1
    assert len(trained.history) == 2
    assert trained.best["weight"].item() == 0


def test_with_no_cell_held_out_the_last_epoch_wins(tmp_path):
    task = Scripted([None] * 7)
    trained = run(task, settings(patience=1), tmp_path / "run", seed=0)
    assert trained.best_epoch == 5
    assert trained.best["weight"].item() == task.network.weight.item()


def test_a_loss_that_is_no_number_is_said(tmp_path):
    task = Scripted([0.0] * 5, losses=[1.0, math.nan])
    with pytest.raises(
        AnnatacError, match=r"loss became nan in epoch 2\. Lower learning_rate \(now 0\.002\)"
    ):
        run(task, settings(), tmp_path / "run", seed=0)


# ------------------------------------------------------------------------------------ accumulation


def test_accumulated_batches_equal_one_large_batch(tokens, debug, tmp_path):
    cells, labels = tokens
    recipe = debug(dropout=0.0, thinning=0.0, class_weight="none", wide=False, label_smoothing=0.0)
    weights = []
    for plan, accumulate in (([8, 8], 1), ([4, 4, 4, 4], 2), ([5, 3, 1, 7], 2)):
        torch.manual_seed(0)
        network = Network(cells.shape[1], 3, recipe.model)
        config = FinetuneConfig(
            epochs=2, accumulate=accumulate, warmup_steps=0, gradient_clip=0.5, patience=9
        )
        config = FinetuneConfig(
            **(vars(config) | {"class_weight": "none", "label_smoothing": 0, "thinning": 0})
        )
        task = FinetuneTask(
            network, cells, labels, config, training=np.arange(16), held_out=np.arange(16, 40),
            seed=0, device=torch.device("cpu"),
        )  # fmt: skip
        batches = np.split(np.arange(16), np.cumsum(plan)[:-1])
        task.batches = lambda epoch, batches=batches: batches
        run(task, config, tmp_path / f"run{len(weights)}", seed=0)
        weights.append({name: value.clone() for name, value in network.state_dict().items()})
    for other in weights[1:]:
        for name, value in weights[0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-4, atol=2e-5, msg=name)


def test_a_last_group_that_is_not_full_is_trained_too(tmp_path):
    task = Scripted([0.0, 0.0])
    task.batches = lambda epoch: [np.array([0]), np.array([1]), np.array([2])]
    run(task, settings(epochs=1, accumulate=2), tmp_path / "run", seed=0)
    assert [rows for _, rows in task.seen] == [[0], [1], [2]]


# ----------------------------------------------------------------------------------------- run log


def test_the_run_log_tells_every_epoch(tmp_path):
    run(Scripted([0.1, 0.2, 0.3]), settings(epochs=2), tmp_path / "run", seed=7)
    events = read_run_log(tmp_path / "run" / "run.jsonl")
    assert [event["event"] for event in events] == ["start", "epoch", "epoch", "end"]
    assert all(event["phase"] == "scripted" and event["time"] > 1e9 for event in events)
    assert (events[0]["seed"], events[0]["epochs"], events[-1]["best_epoch"]) == (7, 2, 1)
    for number, event in enumerate(events[1:3]):
        assert event["epoch"] == number
        assert event.keys() >= {"train_loss", "valid_loss", "score", "cells_per_s"}
        assert event["cells_per_s"] > 0


def test_train_loss_is_the_mean_over_cells(tmp_path):
    task = Scripted([0.0] * 2)
    task.loss = lambda read: BatchLoss(
        (task.network(torch.ones(1, 1)) * 0 + float(len(read[0]))).sum(), len(read[0])
    )
    trained = run(task, settings(epochs=1), tmp_path / "run", seed=0)
    assert trained.history[0]["train_loss"] == pytest.approx((2 * 2 + 1 * 1) / 3)


def test_reading_ahead_and_settling_late_change_nothing(tmp_path, monkeypatch):
    """As on a GPU: batches read in a thread, losses booked some steps later, also where an epoch ends before that."""
    trained = {}
    for name, depth, steps in (("as a CPU", 0, 1), ("as a GPU", 2, 3), ("later still", 5, 100)):
        monkeypatch.setattr(loop, "READ_AHEAD", {"cpu": depth})
        monkeypatch.setattr(loop, "SETTLE_EVERY", {"cpu": steps})
        task = Scripted([0.0] * 4, losses=[1.0, 2.0, 3.0])
        trained[name] = run(task, settings(epochs=3, patience=9), tmp_path / name, seed=0), task.seen
    (wanted, order), *others = trained.values()
    for found, seen in others:
        assert seen == order
        assert [e["train_loss"] for e in found.history] == [e["train_loss"] for e in wanted.history]
        assert torch.equal(found.best["weight"], wanted.best["weight"])


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path):
    log = RunLog(tmp_path)
    log.write("start", phase="x")
    with log.path.open("a") as file:
        file.write('{"event": "epo')
    assert [event["event"] for event in read_run_log(log.path)] == ["start"]
    assert read_run_log(tmp_path / "none.jsonl") == []


def test_epochs_run_again_are_logged_once(tmp_path):
    log = RunLog(tmp_path)
    for epoch in range(3):
        log.write("epoch", epoch=epoch)
    log.keep_until(1)
    assert [event["epoch"] for event in read_run_log(log.path)] == [0]


def test_the_run_log_is_strict_json(tmp_path):
    run(Scripted([None] * 3), settings(epochs=2), tmp_path / "run", seed=0)
    for line in (tmp_path / "run" / "run.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write in"):
        run(Scripted([0.0] * 9), settings(), tmp_path / "file" / "run", seed=0)


def test_training_leaves_the_global_seed_alone(tmp_path):
    task = Scripted([0.1, 0.2, 0.3])
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    run(task, settings(epochs=2), tmp_path / "run", seed=7)
    assert torch.equal(torch.rand(3), wanted)
