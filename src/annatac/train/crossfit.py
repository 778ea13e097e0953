"""What the network says of reference cells that it has not seen: by which its probabilities are judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from annatac.corpus.batches import Rows
from annatac.model.network import Network
from annatac.model.wide import relative_depth
from annatac.train.distributed import from_first
from annatac.train.finetune import FinetuneTask, Scores
from annatac.train.loop import run
from annatac.train.positions import tf_idf
from annatac.train.wide import fit_linear

N_PARTS = 2


class HeldOut(NamedTuple):
    """m reference cells as a network that has seen neither them nor their labels scores them.

    Attributes
    ----------
    rows
        int64 (m,), which of the reference's cells.
    logits
        float32 (m, C).
    wide
        float32 (S, m, C), the scores of the wide path, the linear model's first; None without a wide path.
    growth
        How much higher the linear model of the whole reference puts a cell's best type, on average, than those that
        these scores come from, which have seen fewer cells.
    """

    rows: Rows
    logits: npt.NDArray[np.float32]
    wide: npt.NDArray[np.float32] | None
    growth: float = 0.0


def cross_fitted(
    task: FinetuneTask,
    new_network: Callable[[], Network],
    *,
    n_epochs: int,
    folder: Path,
    resume: bool = False,
    progress: bool = False,
) -> HeldOut:
    """Return the scores of the training cells by networks trained without them.

    The training cells are parted in two; a network like the one of ``task`` learns from each part, for as many
    epochs as were best for ``task``, and scores the other. The wide path's tables are those of ``task``, each
    cell scored by the one that was fitted without it, and so is what says how far to trust them: a gate of few
    numbers, which cannot know a cell again, but which half of the cells would leave less sure than the whole does.
    Cells held out to choose the epoch are not scored.

    Parameters
    ----------
    new_network
        Returns a network as training starts.
    n_epochs
        Epochs of the best weights of ``task``; 0 where they are those it started from.
    folder
        Where the parts' checkpoints are kept, one folder each.

    Returns
    -------
    The cells in rising order. A cell is left out where no other cell of its type is in the other part: nothing
    could have been learnt about it.
    """
    part = parts_of(task)
    done: list[HeldOut] = []
    for k in range(N_PARTS):
        training, scored = task.training[part != k], task.training[part == k]
        scored = scored[np.isin(task.labels[scored], task.labels[training])]
        if len(scored) == 0:
            continue
        config = replace(task.config, epochs=max(n_epochs, 1))
        own = FinetuneTask(
            new_network().to(task.device),
            task.tokens,
            task.labels,
            config,
            training=training,
            held_out=np.arange(0),
            seed=task.seed,
            device=task.device,
            tables=task.tables,
        )
        own.phase = f"held-out scores, part {k + 1}"
        if n_epochs:
            own.fingerprint += task.fingerprint
            place = folder / f"part{k}"
            trained = run(own, config, place, seed=task.seed, resume=resume, progress=progress)
            own.network.load_state_dict(trained.best)
        take_gate(own.network, task.network)
        scores: Scores = own.scores(scored)
        done.append(HeldOut(scored, scores.logits, scores.wide))
    rows = np.concatenate([one.rows for one in done]) if done else np.arange(0)
    order = np.argsort(rows)
    if not done:
        return HeldOut(rows, np.zeros((0, task.network.n_types), np.float32), None)
    parts = [one.wide for one in done if one.wide is not None]
    logits = np.concatenate([one.logits for one in done])[order]
    if not parts:
        return HeldOut(rows[order], logits, None)
    wide = np.concatenate(parts, axis=1)[:, order]
    return HeldOut(rows[order], logits, wide, growth(task, rows[order], wide[0].max(1)))


def take_gate(network: Network, whole: Network) -> None:
    """Give a network the trust in its wide path, the types' offsets and prior, that another has from more cells."""
    if network.wide is None or whole.wide is None:
        return
    network.wide.gate.load_state_dict(whole.wide.gate.state_dict())
    with torch.no_grad():
        network.wide.offset.copy_(whole.wide.offset)
        network.wide.prior = whole.wide.prior


def growth(task: FinetuneTask, rows: Rows, best: npt.NDArray[np.float32]) -> float:
    """Return what the best decision value gains, on average, once a linear model has seen the whole reference.

    Parameters
    ----------
    rows, best
        Training cells and their best decision values by the tables that were fitted without them.

    Notes
    -----
    Measured from models of one half to those of all folds but one, and carried on to the whole in proportion to the
    logarithm of their cells. In proportion to their inverse it would be less; between the two, false alarms of
    novelty on unseen cells lie nearest to the wished rate with the first (Schep and SNARE).
    """
    tables = task.tables
    assert tables is not None
    n_folds = int(tables.fold.max()) + 1
    if n_folds <= N_PARTS:
        return 0.0
    part, config = parts_of(task), task.config

    def from_halves() -> dict[str, Tensor]:
        weighted = tf_idf(task.tokens, tables.idf.numpy())
        n_open = torch.from_numpy(np.maximum(task.n_open, 1))
        depth = relative_depth(n_open, tables.typical_open).numpy()[:, None]
        found = np.full(len(task.labels), np.nan)
        for k in range(N_PARTS):
            fit, scored = task.training[part != k], task.training[part == k]
            n_types = task.network.n_types
            linear, bias = fit_linear(weighted[fit], task.labels[fit], n_types, config.wide_c, task.seed)
            found[scored] = (weighted[scored] @ linear + bias * depth[scored]).max(1)
        return {"best": torch.from_numpy(found[rows])}

    by_halves = from_first(from_halves)["best"].numpy()
    half, all_but_one = len(task.training) / N_PARTS / len(task.labels), 1 - 1 / n_folds
    gain = float(np.mean(best - by_halves))
    return gain * np.log(1 / all_but_one) / np.log(all_but_one / half)


def parts_of(task: FinetuneTask) -> npt.NDArray[np.int64]:
    """Return the part (0, 1) of each training cell: whole folds of the wide path, so that donors stay together.

    Stratified by type where there is no wide path, or all training cells are of one fold.
    """
    labels = task.labels[task.training]
    if task.tables is not None:
        fold = task.tables.fold[task.training]
        names, sizes = np.unique(fold, return_counts=True)
        if len(names) >= N_PARTS:
            part_of_fold = np.zeros(int(names.max()) + 1, dtype=np.int64)
            filled = np.zeros(N_PARTS)
            for name in names[np.argsort(-sizes, kind="stable")]:
                part_of_fold[name] = filled.argmin()
                filled[filled.argmin()] += sizes[names == name][0]
            return part_of_fold[fold]
    part = np.zeros(len(labels), dtype=np.int64)
    random = np.random.default_rng([task.seed, 0xC0F1])
    for type_ in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == type_))
        part[rows] = (np.arange(len(rows)) + int(type_)) % N_PARTS
    return part
