"""Class weights, loss and figures of fine-tuning, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from annatac.corpus import collate
from annatac.model import Network
from annatac.train.finetune import FinetuneTask, class_weights


@pytest.mark.parametrize(
    ("how", "raw"),
    [
        ("published", [0.4**2, 0.7**2, 0.9**2]),  # (1 - frequency)^2
        ("balanced", [1 / 0.6, 1 / 0.3, 1 / 0.1]),
        ("sqrt", [0.6**-0.5, 0.3**-0.5, 0.1**-0.5]),
        ("none", [1, 1, 1]),
    ],
)
def test_class_weights_by_hand(how, raw):
    labels = np.array([0] * 6 + [1] * 3 + [2])
    weights = class_weights(labels, 3, how)
    mean = 0.6 * raw[0] + 0.3 * raw[1] + 0.1 * raw[2]
    np.testing.assert_allclose(weights.numpy(), np.array(raw) / mean, rtol=1e-5)
    assert weights[torch.from_numpy(labels)].mean() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("how", ["published", "balanced", "sqrt", "none"])
def test_a_type_without_training_cells_weighs_nothing(how):
    weights = class_weights(np.array([0, 0, 2]), 3, how)
    assert weights[1] == 0
    assert torch.isfinite(weights).all()


def make(tokens, recipe, *, held_out=range(0, 120, 5), training=None, groups=None) -> FinetuneTask:
    cells, labels = tokens
    torch.manual_seed(0)
    held = np.array(held_out, dtype=np.int64)
    rows = np.setdiff1d(np.arange(120), held) if training is None else training
    return FinetuneTask(
        Network(cells.shape[1], 3, recipe.model), cells, labels, recipe.finetune,
        training=rows, held_out=held, seed=0, device=torch.device("cpu"), groups=groups,
    )  # fmt: skip


def test_loss_by_hand(tokens, debug):
    recipe = debug(dropout=0.0, thinning=0.0, label_smoothing=0.1, class_weight="balanced", wide=False)
    task = make(tokens, recipe)
    rows = np.array([1, 50, 99, 7])
    cells, labels = tokens
    with torch.no_grad():
        log_p = task.network(collate(cells, rows)).logits_BC.log_softmax(1).numpy()
    weights = class_weights(labels[task.training], 3, "balanced").numpy()
    target = np.full((4, 3), 0.1 / 3)
    target[np.arange(4), labels[rows]] += 0.9
    wanted = -(target * log_p * weights).sum() / weights[labels[rows]].sum()
    assert float(task.loss(task.read(rows, 0)).mean.detach()) == pytest.approx(wanted, rel=1e-5)


def test_training_thins_and_validation_does_not(tokens, debug):
    task = make(tokens, debug(dropout=0.0, thinning=0.6))
    rows = task.training[:20]
    assert task.loss(task.read(rows, 0)).mean.item() == task.loss(task.read(rows, 0)).mean.item()
    assert task.loss(task.read(rows, 0)).mean.item() != task.loss(task.read(rows, 1)).mean.item()
    assert task.validate() == task.validate()


@pytest.mark.parametrize("monitor", ["accuracy", "accuracy+macro_f1", "loss"])
def test_validation_figures(tokens, debug, monitor):
    task = make(tokens, debug(monitor=monitor))
    cells, labels = tokens
    figures = task.validate()
    task.network.eval()
    held = task.held_out
    with torch.no_grad():
        batch = collate(cells, held)
        output = task.network(batch, task.tables.scores(batch, held))
    logits, targets = output.logits_BC, torch.from_numpy(labels[held])
    loss = torch.nn.functional.cross_entropy(logits, targets)
    embedding_loss = torch.nn.functional.cross_entropy(output.readout_BC, targets)
    guess = logits.argmax(1).numpy()
    assert figures["loss"] == pytest.approx(float(loss + embedding_loss), rel=1e-5)
    assert figures["embedding_loss"] == pytest.approx(float(embedding_loss), rel=1e-5)
    assert figures["accuracy"] == pytest.approx((guess == labels[held]).mean())
    assert figures["macro_f1"] == pytest.approx(f1_score(labels[held], guess, average="macro"))
    score = {
        "accuracy": figures["accuracy"],
        "accuracy+macro_f1": figures["accuracy"] + figures["macro_f1"],
        "loss": -figures["loss"],
    }[monitor]
    assert figures["score"] == pytest.approx(score)


def test_every_training_cell_once_an_epoch_and_no_other(tokens, debug):
    task = make(tokens, debug(batch_size=16))
    for epoch in range(2):
        rows = np.concatenate(task.batches(epoch))
        assert np.array_equal(np.sort(rows), task.training)


def test_the_fingerprint_knows_data_labels_settings_seed_and_split(tokens, debug):
    cells, labels = tokens
    recipe = debug(wide=False)
    prints = [make(tokens, recipe).fingerprint]
    assert make(tokens, recipe).fingerprint == prints[0]
    other = cells.copy()
    other.data[0] = 5 if other.data[0] != 5 else 4
    prints.append(make((other, labels), recipe).fingerprint)
    swapped = labels.copy()
    swapped[[0, 1, 2]] = (swapped[[0, 1, 2]] + 1) % 3
    prints.append(make((cells, swapped), recipe).fingerprint)
    prints.append(make(tokens, debug(learning_rate=0.1, wide=False)).fingerprint)
    prints.append(make(tokens, recipe, held_out=range(1, 120, 5)).fingerprint)
    prints.append(make(tokens, debug()).fingerprint)
    prints.append(make(tokens, debug(), groups=np.arange(120) % 4).fingerprint)
    assert len(set(prints)) == len(prints)
