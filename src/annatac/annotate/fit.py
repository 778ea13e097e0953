"""Fine-tuning from a labelled reference to a model folder."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
import torch

from annatac import keys
from annatac.annotate.annotator import Annotator
from annatac.annotate.auto_base import AUTO, base_for
from annatac.annotate.card import model_card
from annatac.annotate.hierarchy import CELL_ONTOLOGY, hierarchy_of
from annatac.annotate.lifting import Lifting
from annatac.annotate.reference import reference_tensors
from annatac.annotate.trust import NOT_CALIBRATED, Trust, fit_trust
from annatac.config import Recipe, check_seed
from annatac.corpus.batches import Rows
from annatac.errors import AnnatacWarning, ConfigError, no_column
from annatac.genome.assemblies import genome_label
from annatac.model import artifact as artifacts
from annatac.model import ready
from annatac.model.artifact import Artifact, quantise
from annatac.model.network import Network
from annatac.pp.islands import peak_islands
from annatac.pp.lift import Lift
from annatac.pp.splits import group_split, stratified_split
from annatac.pp.tokens import tokenize
from annatac.pp.universe import Universe
from annatac.pp.validate import validate_counts, validate_labels
from annatac.train.crossfit import cross_fitted
from annatac.train.device import choose_device, choose_precision, compiling_pays
from annatac.train.distributed import from_first, is_first, together, wait
from annatac.train.finetune import FinetuneTask, wide_tables
from annatac.train.from_base import base_vectors, check_assembly, resolve_place, with_encoder_of
from annatac.train.loop import run
from annatac.train.mislabelled import Doubts, doubts
from annatac.train.output import island_settings, run_folder
from annatac.train.positions import svd_positions

if TYPE_CHECKING:
    from anndata import AnnData


@together
def finetune(
    adata: AnnData,
    *,
    label_key: str,
    output: str | Path,
    batch_key: str | None = None,
    recipe: str | Path | Recipe = "default",
    base: str | Path | None = None,
    chain: str | Path | None = None,
    genes: str | Path | pd.DataFrame | None = None,
    bin_size: int = 5000,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    keep_reference: bool = True,
    hierarchy: str | Path = CELL_ONTOLOGY,
    calibrate: bool = True,
    progress: bool = False,
) -> Annotator:
    """Train a model on labelled cells and write its folder.

    Parameters
    ----------
    adata
        Reference, cells x peaks or islands, counts.
    label_key
        obs column of the cell types. Cells without a type are left out, with a warning.
    output
        Model folder to write. Checkpoints live beside it, in ``OUTPUT.run``, until it is done.
    batch_key
        obs column of donors or batches: whole ones are held out to choose the best epoch.
    recipe
        Name of a shipped recipe, a YAML file, or a :class:`~annatac.config.Recipe`.
    base
        A ready base by name ('human-base'), or the folder of a pre-trained model, over islands of the same kind.
        Its encoder (depth, width, ...) and its islands' vectors are taken over; the islands are those of the
        reference (of the base where its recipe is not thin), head and wide path those of the recipe. 'auto' is the
        ready base that suits the reference, or none (:func:`annatac.annotate.auto_base.base_for`).
    chain
        UCSC chain file, in either direction, for a base on another assembly than the reference; None looks for one
        among :mod:`annatac.datasets`. The model stays on the reference's assembly, its peaks find their vectors
        in the base by where their midpoints lie; where the base's recipe is not thin, the reference is lifted.
    genes
        GTF, GFF, BED or table of genes; needed where the recipe takes TSS islands only.
    bin_size
        Width of an island in bp.
    seed
        Same seed, same model (on one kind of machine).
    resume
        Go on from the checkpoint of an interrupted run.
    overwrite
        Replace an existing model folder.
    keep_reference
        Keep type profiles and a sample of tokens in the folder, for adaptation and novelty.
    hierarchy
        Where the types' ancestors come from, which an unsure cell is answered by: 'cell-ontology' (types
        without a term there have the root alone), a CSV or TSV of child and parent, or 'none'.
    calibrate
        Judge confidence and novelty by networks that have not seen the cells they score, which doubles the time of
        training. Without, probabilities are the softmax, as published, and there are no prediction sets.
    progress
        Show a bar on standard error.

    Returns
    -------
    The annotator, as :func:`annatac.load` reads it from ``output``.

    Raises
    ------
    LabelError, InputError, ConfigError
        Unusable labels, counts or settings; a recipe that does not fit the base.
    OverlapError, AssemblyError
        The base knows too few of the reference's islands, or is on another assembly and no chain is at hand.
    OutputError
        ``output`` exists or cannot be written.
    Interrupted
        Ctrl-C; the checkpoint is kept.
    """
    recipe = Recipe.load(recipe)
    check_seed(seed)
    where = choose_device(device)
    choose_precision(recipe.finetune.precision, where)  # refused before there is work to lose
    output = Path(output)
    folder = run_folder(output, resume=resume, overwrite=overwrite)
    validate_counts(adata)
    labels = validate_labels(adata, label_key)
    tree = hierarchy_of(labels.classes, hierarchy)
    cells = adata[labels.keep]
    started = None
    if base == AUTO:
        base, started = base_for(cells, recipe, Lifting(None if chain is None else Path(chain)))
        chain = None if base is None else chain
    elif base is not None:
        started = artifacts.load(ready.find(base))
    lift = _lift(started, chain, cells.uns.get(keys.GENOME))
    takes_islands = started is not None and not started.network.config.thin
    if started is not None:
        recipe = with_encoder_of(started, recipe)
    recipe = resolve_place(recipe, has_base=started is not None)
    islands = peak_islands(
        cells, islands=recipe.islands, genes=genes, bin_size=bin_size, lift=lift if takes_islands else None
    )
    universe, tokens = _universe(islands, started)
    vectors = None
    if started is not None:
        vectors = base_vectors(universe, started, tokens, None if takes_islands else lift)
    codes = pd.Categorical(labels.values, categories=labels.classes).codes.astype(np.int64)
    groups = _groups(cells, batch_key)

    def start() -> Network:
        return new_network(tokens, len(labels.classes), recipe, started, seed, vectors)

    network = start()
    tables, doubted, mislabelled = None, None, None
    if recipe.finetune.mislabelled == "drop" and network.wide is not None:
        tables = wide_tables(network, tokens, codes, recipe.finetune, seed, None)
        doubted = doubts(tables, tokens, codes)
        tables = tables if groups is None else None  # the network's have not seen a cell's donor either
    if doubted is not None and doubted.wrong.any():
        mislabelled = _table(doubted, cells.obs_names, labels.values, labels.classes)
        _warn_of_doubts(doubted, mislabelled)
        kept = ~doubted.wrong
        tokens, codes, groups = tokens[kept], codes[kept], None if groups is None else groups[kept]
        network, tables = start(), None
    training, held_out = _split(codes, groups, recipe.finetune.validation_fraction, seed)
    task = FinetuneTask(
        network.to(where),
        tokens,
        codes,
        recipe.finetune,
        training=training,
        held_out=held_out,
        seed=seed,
        device=where,
        groups=groups,
        tables=tables,
    )
    if started is not None:  # a checkpoint of a run from another base is not of this run
        task.fingerprint += started.model_id
    with network.compiled(compiling_pays(where, len(training) * recipe.finetune.epochs)):
        trained = run(task, recipe.finetune, folder, seed=seed, resume=resume, progress=progress)
    network.load_state_dict(trained.best)
    quantise(network)
    figures = task.validate()
    calibration: dict[str, Any] = dict(NOT_CALIBRATED)
    of_held_out: dict[str, torch.Tensor] = {}
    if calibrate:
        unseen = cross_fitted(
            task, start, n_epochs=trained.best_epoch + 1, folder=folder, resume=resume, progress=progress
        )
        calibration, of_held_out = _from_first(
            lambda: fit_trust(unseen, tokens, codes, len(labels.classes), groups)
        )
    network.encoder_dtype = torch.float32

    counts = np.bincount(codes, minlength=len(labels.classes))
    artifact = Artifact(
        network=network.cpu().eval(),
        universe=universe,
        classes=labels.classes,
        recipe=recipe,
        island_settings=island_settings(islands.uns.get(keys.ISLANDS, {}), bin_size),
        class_ids=[] if tree is None else tree.class_ids,
        hierarchy={} if tree is None else tree.to_dict(),
        reference=reference_tensors(tokens, codes, len(labels.classes), seed) if keep_reference else {},
        calibration=calibration,
        held_out=of_held_out,
        mislabelled=mislabelled,
        metrics={"held_out": figures, "n_held_out": len(held_out), "best_epoch": trained.best_epoch + 1},
        training={
            "n_cells": len(codes),
            "cells_per_type": {name: int(n) for name, n in zip(labels.classes, counts, strict=True)},
            "share_mislabelled": None if doubted is None else round(doubted.share, 4),
            "label_key": label_key,
            "batch_key": batch_key,
            "held_out": "whole batches" if groups is not None else "stratified by type",
            "base": None if base is None else str(base),
            "precision": task.config.precision,
            "seed": seed,
        },
    )
    artifact.card = model_card(artifact)
    annotator = Annotator(artifact)
    if is_first():
        artifact.run_log = (folder / "run.jsonl").read_text(encoding="utf-8")
        annotator.save(output, overwrite=overwrite)
        shutil.rmtree(folder, ignore_errors=True)
    wait()  # whoever reads the model now finds it
    return annotator


def _from_first(fit: Callable[[], Trust | None]) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return what ``calibration.json`` and ``calibration.safetensors`` hold; of several processes one fits."""

    def fitted() -> dict[str, torch.Tensor]:
        trust = fit()
        content = json.dumps(NOT_CALIBRATED if trust is None else trust.to_dict()).encode()
        as_tensor = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        return {"content": as_tensor} | ({} if trust is None else trust.tensors())

    tensors = from_first(fitted)
    return json.loads(tensors.pop("content").numpy().tobytes()), tensors


def _table(doubted: Doubts, names: pd.Index, labels: Any, classes: list[str]) -> pd.DataFrame:
    """Return the cells whose label is not learnt from, the least probable label first."""
    rows = np.flatnonzero(doubted.wrong)
    rows = rows[np.argsort(doubted.right[rows], kind="stable")]
    return pd.DataFrame(
        {
            "cell": names[rows].astype(str),
            "label": np.asarray(labels)[rows],
            "looks_like": np.array(classes)[doubted.likely[rows]],
            "probability_right": doubted.right[rows],
        }
    )


def _warn_of_doubts(doubted: Doubts, mislabelled: pd.DataFrame) -> None:
    """Say how many cells are left out, and how most of them are labelled."""
    n_cells, n_wrong = len(doubted.wrong), len(mislabelled)
    pairs = mislabelled[["label", "looks_like"]].value_counts().head(3)
    most = ", ".join(f"{n:,} '{label}' like '{other}'" for (label, other), n in pairs.items())
    warnings.warn(
        f"{n_wrong:,} of {n_cells:,} reference cells ({n_wrong / n_cells:.1%}) look mislabelled and are left out: "
        f"{most}. An estimated {doubted.share:.1%} of all labels are wrong. {artifacts.MISLABELLED} in the model "
        "folder lists the cells.",
        AnnatacWarning,
        stacklevel=3,
    )


def _lift(base: Artifact | None, chain: str | Path | None, genome: Any) -> Lift | None:
    """Return the way from the reference's assembly to the base's, where they differ.

    Raises
    ------
    ConfigError, AssemblyError
        A chain without a base; another assembly and no chain.
    """
    if base is None:
        if chain is not None:
            raise ConfigError(
                f"{chain} leads from the reference's assembly to that of a base: name one with --base, or leave "
                "--chain out."
            )
        return None
    lifting = Lifting(None if chain is None else Path(chain), places=base.places)
    lift = lifting.to(base.universe, genome)
    if lift is None:
        check_assembly(None if genome is None else genome_label(str(genome)), base.universe.genome)
    return lift


def _universe(islands: AnnData, base: Artifact | None) -> tuple[Universe, sp.csr_matrix]:
    """Return the universe and the tokens in it: every island that is open in a cell.

    A base that is not thin has weights of its own for each of its islands: its universe is taken over.
    """
    if base is not None and not base.network.config.thin:
        universe = base.universe
    else:
        universe = Universe.from_islands(islands)
        universe = universe.take(universe.mean_openness > 0)
    tokens, _ = tokenize(islands, universe)
    return universe, tokens


def _groups(cells: AnnData, batch_key: str | None) -> npt.NDArray[np.generic] | None:
    if batch_key is None:
        return None
    if batch_key not in cells.obs:
        raise no_column(batch_key, cells.obs.columns)
    return cells.obs[batch_key].astype(str).to_numpy()


def _split(
    codes: npt.NDArray[np.int64], groups: npt.NDArray[np.generic] | None, fraction: float, seed: int
) -> tuple[Rows, Rows]:
    """Hold cells out to choose the best epoch: whole batches where they are named, stratified else."""
    if fraction == 0:
        return np.arange(len(codes)), np.arange(0)
    if groups is None:
        return stratified_split(codes, fraction, seed)
    return group_split(codes, groups, fraction, seed)


def new_network(
    tokens: sp.csr_matrix,
    n_types: int,
    recipe: Recipe,
    base: Artifact | None,
    seed: int,
    vectors: npt.NDArray[np.float32] | None = None,
) -> Network:
    """Return a network as training starts: drawn by the seed, positions from the cells or from the base.

    ``vectors``: those of the base for these islands, see :func:`annatac.train.from_base.base_vectors`.
    """
    config = recipe.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(tokens.shape[1], n_types, config)
    if base is None or vectors is None:
        vectors = svd_positions(tokens, config.position_dim, seed)
    else:
        state = base.network.encoder.state_dict()
        state["table.vectors"] = torch.from_numpy(vectors)
        network.encoder.load_state_dict(state)
        network.mask_head.load_state_dict(base.network.mask_head.state_dict())
    network.encoder.table.vectors.data.copy_(torch.from_numpy(vectors))
    return network
