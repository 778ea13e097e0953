"""From a task to the cells of its reference and query: splits, wrong labels, fewer cells, shallower cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from annatac.benchmark import sets
from annatac.benchmark.features import aligned
from annatac.benchmark.tasks import Task
from annatac.errors import ConfigError, LabelError, nearest, no_column
from annatac.pp.counts import as_csr

if TYPE_CHECKING:
    from anndata import AnnData

Rows = npt.NDArray[np.int64]
Names = npt.NDArray[np.object_]
_STREAMS = {"fold": 0, "label_noise": 1, "label_fraction": 2, "depth": 3, "rare": 4}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a method gets, and the truth that it does not.

    Attributes
    ----------
    reference
        Cells with the (perhaps wrong) types in ``obs['cell_type']``, and batches in ``obs[batch_key]``.
    query
        Cells without types; features as the reference's, or its own where a method takes them so.
    truth
        Object (n,), the true types of the query.
    rows
        int64 (n,), rows of the query's cells in its file: the same cell in several tasks has the same row.
    """

    reference: AnnData
    query: AnnData
    truth: Names
    rows: Rows
    batch_key: str | None


def prepare(task: Task, *, own_features: bool = False) -> Prepared:
    """Return the cells of a task; every method gets the same ones.

    Parameters
    ----------
    own_features
        A query of another study keeps its own peaks; otherwise both hold the reference's peaks that the query
        measured (see :func:`annatac.benchmark.features.aligned`).

    Raises
    ------
    ConfigError, LabelError
        A fold, batch or type that is not there; no cell is left to learn from or to judge.
    """
    config = task.set
    adata = sets.load_reference(config)
    if config.query:
        other = sets.load_query(config)
        reference, query = (adata, other) if own_features else aligned(adata, other)
        rows = np.arange(query.n_obs)
    else:
        learnt, rows = split(adata, task)
        reference, query = adata[learnt].copy(), adata[rows].copy()
    reference = _changed_reference(reference, task)
    if task.kind == "depth":
        query.X = thinned(as_csr(query.X), task.level, _random("depth", task))
    truth = query.obs[sets.TRUTH].to_numpy(dtype=object)
    n_types = reference.obs[sets.TRUTH].nunique()
    if n_types < 2 or not len(truth):
        raise LabelError(
            f"Set '{config.name}' leaves {n_types} types to learn from and {len(truth)} cells to judge; at least "
            "two types and one cell are needed."
        )
    query.obs = query.obs[[]]
    batch_key = config.batch_key or None
    if batch_key is not None and reference.obs[batch_key].nunique() < 2:
        batch_key = None
    return Prepared(reference=reference, query=query, truth=truth, rows=rows, batch_key=batch_key)


def split(adata: AnnData, task: Task) -> tuple[Rows, Rows]:
    """Return the rows of reference and query within one study: whole batches, or a stratified fold."""
    config, labels = task.set, adata.obs[sets.TRUTH].to_numpy(dtype=object)
    if not config.batch_key:
        fold = stratified_folds(labels, config.n_folds, task.seed)
        return np.flatnonzero(fold != task.fold), np.flatnonzero(fold == task.fold)
    if config.batch_key not in adata.obs:
        raise no_column(config.batch_key, adata.obs.columns, table=f"obs of {config.name}")
    batch = adata.obs[config.batch_key].astype(str).to_numpy(dtype=object)
    batches = sorted(set(batch))
    if config.held_out:
        if strange := [name for name in config.held_out if name not in batches]:
            raise ConfigError(
                f"Set '{config.name}' holds out '{strange[0]}', which is none of its batches: "
                f"{', '.join(batches)}."
            )
        held = np.isin(batch, config.held_out)
    else:
        if task.fold >= len(batches):
            raise ConfigError(
                f"Set '{config.name}' asks for fold {task.fold}, but has {len(batches)} batches (from 0)."
            )
        held = batch == batches[task.fold]
    return np.flatnonzero(~held), np.flatnonzero(held)


def stratified_folds(labels: Names, n_folds: int, seed: int) -> Rows:
    """Return the fold of each cell, int64 (n,): every type spread evenly, in an order of the seed's.

    A type with fewer cells than folds is judged in as many folds as it has cells; the only cell of a type has fold
    -1: it is always learnt from.
    """
    random = np.random.default_rng([seed, _STREAMS["fold"]])
    fold = np.full(len(labels), -1, dtype=np.int64)
    for name in sorted(set(labels)):
        rows = np.flatnonzero(labels == name)
        if len(rows) > 1:
            first = int(random.integers(n_folds))  # else all small types would be judged in the first folds
            fold[random.permutation(rows)] = (first + np.arange(len(rows))) % n_folds
    return fold


def noisy(labels: Names, share: float, random: np.random.Generator) -> Names:
    """Return the labels with ``share`` of the cells given another type, drawn by the other types' frequencies."""
    names, code, n = np.unique(labels.astype(str), return_inverse=True, return_counts=True)
    wrong = random.permutation(len(labels))[: round(share * len(labels))]
    drawn = code.copy()
    for k in range(len(names)):
        rows = wrong[code[wrong] == k]
        weight = np.where(np.arange(len(names)) == k, 0, n).astype(float)
        drawn[rows] = random.choice(len(names), len(rows), p=weight / weight.sum())
    return names.astype(object)[drawn]


def fraction(labels: Names, share: float, random: np.random.Generator) -> Rows:
    """Return the rows of ``share`` of each type's cells, at least one of each, sorted."""
    kept = []
    for name in sorted(set(labels)):
        rows = np.flatnonzero(labels == name)
        kept.append(random.permutation(rows)[: max(1, round(share * len(rows)))])
    return np.sort(np.concatenate(kept))


def thinned(counts: sp.csr_matrix, share: float, random: np.random.Generator) -> sp.csr_matrix:
    """Return counts of which each fragment is kept with probability ``share``."""
    thin = counts.copy()
    thin.data = random.binomial(np.rint(thin.data).astype(np.int64), share).astype(counts.dtype)
    thin.eliminate_zeros()
    return thin


def _changed_reference(reference: AnnData, task: Task) -> AnnData:
    labels = reference.obs[sets.TRUTH].to_numpy(dtype=object)
    if task.cell_type and task.cell_type not in set(labels):
        raise ConfigError(
            f"Type '{task.cell_type}' is not in the reference of set '{task.set.name}'."
            f"{nearest(task.cell_type, set(labels))}"
        )
    if task.kind == "label_noise":
        reference.obs[sets.TRUTH] = noisy(labels, task.level, _random("label_noise", task))
    elif task.kind == "label_fraction":
        reference = reference[fraction(labels, task.level, _random("label_fraction", task))].copy()
    elif task.kind == "held_out":
        reference = reference[labels != task.cell_type].copy()
    elif task.kind == "rare":
        own = _random("rare", task).permutation(np.flatnonzero(labels == task.cell_type))
        reference = reference[np.setdiff1d(np.arange(len(labels)), own[task.n_cells :])].copy()
    return reference


def _random(stream: str, task: Task) -> np.random.Generator:
    """Return the stream of a change; not of the method, so that all methods see the same cells."""
    return np.random.default_rng([task.seed, _STREAMS[stream], task.repeat, task.fold])
