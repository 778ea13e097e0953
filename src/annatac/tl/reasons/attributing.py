"""Why a cell got its name: the contribution of each of its open islands, through the model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
import torch

from annatac import keys
from annatac.annotate.annotator import Annotator
from annatac.corpus.batches import collate, in_order_of_depth
from annatac.errors import AnnatacWarning, ConfigError, InputError, LabelError, nearest
from annatac.genome.nearest import nearest_genes
from annatac.pp.universe import Universe
from annatac.tl.reasons.attribution_table import Attribution, attribution_agreement
from annatac.tl.reasons.integrated_gradients import contributions
from annatac.train.device import choose_device

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["attribution", "attribution_agreement"]


def attribution(
    adata: AnnData,
    model: Annotator | str | Path,
    *,
    target: str | None = None,
    against: str | None = None,
    cells: Sequence[str] | None = None,
    max_cells: int | None = 100,
    genes: str | Path | pd.DataFrame | None = None,
    n_steps: int = 8,
    tolerance: float = 0.005,
    batch_size: int = 32,
    device: str = "auto",
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Attribution:
    """Return what each open island of a cell adds to its call, and by that why the cell got this label.

    What is explained is the logit of the target over the mean logit of the other types (what all types have in
    common changes no call). Contributions add up to it, less that of a cell without evidence at the
    same depth. They are exact through the wide path and integrated gradients through the encoder; see
    ``annatac.tl.reasons.integrated_gradients``.

    Parameters
    ----------
    adata
        The cells, as they were annotated: cells x peaks or islands, counts.
    model
        The annotator that named them, or the path of its folder.
    target
        The type that is explained; by default each cell's own best type (that of the greatest
        probability, also for cells called novel).
    against
        Explain the target's logit over this one type instead of over the mean of the others.
    cells
        Names of the cells; by default up to ``max_cells`` of each best type (of all cells with ``target``
        given: those of that best type), drawn at random.
    max_cells
        See ``cells``; None for every cell.
    genes
        GTF, GFF3, BED or table of genes: adds the nearest gene and its distance to each island.
    n_steps
        Points of the integral, over stretches that are halved until the contributions miss the difference of
        the logits by no more than ``tolerance`` of it.
    batch_size
        Cells at once.
    device
        'auto', 'cpu', 'cuda', ...
    seed
        Seed of the draw of cells.
    on_progress
        Called with the cells that are done and all cells.

    Returns
    -------
    :class:`~annatac.tl.reasons.attribution_table.Attribution`.

    Raises
    ------
    LabelError
        The model does not know ``target`` or ``against`` (the nearest is offered).
    InputError
        A cell of ``cells`` is not there, or no cell has an open island that the model knows.
    ConfigError
        A number out of range, or target and against are one type.

    Notes
    -----
    The contribution says what the model went by, not what makes the cell what it is. Islands that are open
    together share what one of them would do alone.
    """
    if n_steps < 2 or batch_size < 1 or not 0 < tolerance < 1 or (max_cells is not None and max_cells < 1):
        raise ConfigError(
            f"n_steps is {n_steps}, batch_size {batch_size}, tolerance {tolerance}, max_cells {max_cells}; "
            "expected n_steps >= 2, batch_size >= 1, 0 < tolerance < 1, max_cells >= 1 (or None)."
        )
    annotator = model if isinstance(model, Annotator) else Annotator.load(model)
    wanted, rival = (_type_number(annotator, name) for name in (target, against))
    if wanted is not None and wanted == rival:
        raise ConfigError(f"target and against are both '{target}': a type cannot be explained over itself.")
    chosen = None if cells is None else _rows_of(adata, cells)
    tokens, _ = annotator.tokens(adata)
    rows, targets = _choose(annotator, tokens, chosen, wanted, rival, max_cells, device, seed)
    own = tokens[rows]
    weights = _weights(targets, rival, len(annotator.classes))
    where = choose_device(device)
    network = annotator.artifact.network.to(where).eval()
    total, wide = (np.zeros(own.nnz, dtype=np.float32) for _ in range(2))
    logit, baseline = (np.zeros(len(rows), dtype=np.float32) for _ in range(2))
    done = 0
    n_tokens = network.n_tokens(np.diff(own.indptr))
    for part in in_order_of_depth(n_tokens, batch_size=batch_size):
        batch = collate(own, part).to(where)
        found = contributions(
            network,
            batch,
            torch.from_numpy(weights[part]).to(where),
            n_steps=n_steps,
            tolerance=tolerance,
        )
        real = batch.real_BN
        entries = _entries(own.indptr, part)
        wide[entries] = found.wide_BN[real].cpu().numpy()
        total[entries] = (found.wide_BN + found.encoder_BN)[real].cpu().numpy()
        logit[part], baseline[part] = found.logit_B.cpu().numpy(), found.baseline_B.cpu().numpy()
        done += len(part)
        if on_progress is not None:
            on_progress(done, len(rows))
    matrix = sp.csr_matrix((total, own.indices, own.indptr), shape=own.shape)
    explained = np.add.reduceat(total.astype(np.float64), own.indptr[:-1])
    table = pd.DataFrame(
        {
            "target": pd.Categorical.from_codes(targets, annotator.classes),
            "n_open": np.diff(own.indptr),
            "logit": logit,
            "baseline": baseline,
            "missed": (logit - baseline - explained).astype(np.float32),
        },
        index=adata.obs_names[rows],
    )
    return Attribution(
        types=list(annotator.classes),
        islands=_islands(annotator.artifact.universe, genes),
        contributions=matrix,
        wide=sp.csr_matrix((wide, own.indices, own.indptr), shape=own.shape),
        cells=table,
        parameters={"target": target, "against": against, "n_steps": n_steps, "max_cells": max_cells},
    )


def _type_number(annotator: Annotator, name: str | None) -> int | None:
    if name is not None and name not in annotator.classes:
        raise LabelError(
            f"The model knows no type '{name}'.{nearest(name, annotator.classes)} It knows: "
            f"{', '.join(annotator.classes)}."
        )
    return None if name is None else annotator.classes.index(name)


def _rows_of(adata: AnnData, cells: Sequence[str]) -> npt.NDArray[np.int64]:
    if isinstance(cells, str):
        cells = [cells]
    rows = adata.obs_names.get_indexer(pd.Index(cells))
    if not len(rows):
        raise InputError("cells is empty: name at least one cell.")
    if (rows < 0).any():
        name = str(list(cells)[int(np.flatnonzero(rows < 0)[0])])
        raise InputError(
            f"{int((rows < 0).sum())} of {len(rows)} cells are not there, '{name}' for one."
            f"{nearest(name, adata.obs_names)} Names look like '{adata.obs_names[0]}'."
        )
    return np.unique(rows).astype(np.int64)


def _choose(
    annotator: Annotator,
    tokens: sp.csr_matrix,
    chosen: npt.NDArray[np.int64] | None,
    wanted: int | None,
    rival: int | None,
    max_cells: int | None,
    device: str,
    seed: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows of the cells to explain and the number of each one's target."""
    rows = np.arange(tokens.shape[0]) if chosen is None else chosen
    has_open = np.diff(tokens.indptr)[rows] > 0
    if not has_open.all():
        if not has_open.any():
            raise InputError(
                f"None of the {len(rows):,} cells has an open island that the model knows: nothing to explain."
            )
        if chosen is not None:
            warnings.warn(
                f"{int((~has_open).sum())} cells have no open island that the model knows and are left out.",
                AnnatacWarning,
                stacklevel=3,
            )
        rows = rows[has_open]
    best = annotator.calibrated(annotator.predict(tokens[rows], device=device)).argmax(1)
    if chosen is not None:
        targets = best if wanted is None else np.full(len(rows), wanted)
    else:
        if wanted is not None:
            rows, best = rows[best == wanted], best[best == wanted]
            if not len(rows):
                raise InputError(
                    f"No cell is called '{annotator.classes[wanted]}'. Name the cells to explain for it."
                )
        if max_cells is not None:
            order = np.random.default_rng([seed, 0xA77]).permutation(len(rows))
            place = pd.Series(best[order]).groupby(best[order]).cumcount().to_numpy()
            kept = np.sort(order[place < max_cells])
            rows, best = rows[kept], best[kept]
        targets = best
    if rival is not None:
        if (targets == rival).all():
            raise ConfigError(
                f"All chosen cells are '{annotator.classes[rival]}' at best: name another target for them."
            )
        rows, targets = rows[targets != rival], targets[targets != rival]
    return rows, targets.astype(np.int64)


def _weights(targets: npt.NDArray[np.int64], rival: int | None, n_types: int) -> npt.NDArray[np.float32]:
    """Return (n, C): which combination of logits is explained; rows sum to 0."""
    weights = np.zeros((len(targets), n_types), dtype=np.float32)
    if rival is not None:
        weights[:, rival] = -1
    elif n_types > 1:
        weights[:] = -1 / (n_types - 1)
    weights[np.arange(len(targets)), targets] = 1
    return weights


def _entries(indptr: npt.NDArray[np.integer], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return where the entries of these rows stand in ``data``, row after row."""
    lengths = np.diff(indptr)[rows].astype(np.int64)
    first = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(indptr[rows].astype(np.int64) - first, lengths)


def _islands(universe: Universe, genes: str | Path | pd.DataFrame | None) -> pd.DataFrame:
    table = pd.DataFrame(index=pd.Index(np.asarray(universe.names).astype(str)))
    if universe.has_coordinates:
        table[keys.CHROM], table[keys.START], table[keys.END] = universe.chrom, universe.start, universe.end
    if genes is not None:
        if not universe.has_coordinates:
            raise InputError("The model's islands have no coordinates: the nearest gene is not to be had.")
        table = table.join(nearest_genes(table, genes))
    return table
