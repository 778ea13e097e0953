"""What the network says of reference cells that it has not seen: by which its probabilities are judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from annatac.corpus.batches import Rows
from annatac.model.network import Network
from annatac.train.finetune import FinetuneTask, Scores, wide_tables
from annatac.train.loop import run

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
    """

    rows: Rows
    logits: npt.NDArray[np.float32]
    wide: npt.NDArray[np.float32] | None


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
    Tables of the whole are surer than those: the scores are raised by as much (:func:`growth`). Cells held out to
    choose the epoch are not scored.

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
    logits = np.concatenate([one.logits for one in done])[order]
    if task.tables is None or task.network.wide is None:
        return HeldOut(rows[order], logits, None)
    wide = np.concatenate([one.wide for one in done if one.wide is not None], axis=1)[:, order]
    return grown(HeldOut(rows[order], logits, wide), growth(task), task)


def grown(held_out: HeldOut, factors: npt.NDArray[np.float32], task: FinetuneTask) -> HeldOut:
    """Return the cells as scores of the wide path so many times as large (S,), trusted as they are, put them."""
    wide_path = task.network.wide
    assert held_out.wide is not None
    assert wide_path is not None
    n_open = torch.from_numpy(np.maximum(task.n_open[held_out.rows], 1).astype(np.float32))
    with torch.no_grad():
        trust = wide_path.trust(n_open.to(task.device)).cpu().numpy()
    wide = held_out.wide * factors[:, None, None]
    added = np.einsum("smc,ms->mc", wide - held_out.wide, trust)
    return HeldOut(held_out.rows, held_out.logits + added, wide)


def take_gate(network: Network, whole: Network) -> None:
    """Give a network the trust in its wide path, the types' offsets and prior, that another has from more cells."""
    if network.wide is None or whole.wide is None:
        return
    network.wide.gate.load_state_dict(whole.wide.gate.state_dict())
    with torch.no_grad():
        network.wide.offset.copy_(whole.wide.offset)
        network.wide.prior = whole.wide.prior


def growth(task: FinetuneTask) -> npt.NDArray[np.float32]:
    """Return how many times as large an unseen cell's scores are by tables of all cells as by those without its fold.

    Returns
    -------
    float32 (S,), for each score of the wide path.

    Notes
    -----
    Measured by the mean of the training cells' best scores, from tables of one half of them to those of all folds but
    one, and carried on to the whole in proportion to the logarithm of their cells. In proportion to their inverse it
    would be less; between the two, false alarms of novelty on unseen cells lie nearest to the wished rate with the
    first (Schep and SNARE).
    """
    tables, rows = task.tables, task.training
    assert tables is not None
    n_folds = int(tables.fold.max()) + 1
    if n_folds <= N_PARTS:
        return np.ones(tables.n_scores, np.float32)
    tokens, labels = task.tokens[rows], task.labels[rows]
    halves = wide_tables(task.network, tokens, labels, task.config, task.seed, None, fold=parts_of(task))
    best = tables.scores_of(task.tokens, rows).amax(2).mean(1).numpy()
    by_halves = halves.scores_of(tokens, np.arange(len(rows))).amax(2).mean(1).numpy()
    half, all_but_one = len(rows) / N_PARTS / len(task.labels), 1 - 1 / n_folds
    gain = (best - by_halves) * np.log(1 / all_but_one) / np.log(all_but_one / half)
    return np.asarray(1 + gain / np.maximum(best, 1e-6), dtype=np.float32)


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
