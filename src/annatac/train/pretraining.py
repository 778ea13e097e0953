"""Pre-training on unlabelled cells (paper, Methods, "Pre-training")."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from annatac.config import PretrainConfig, Recipe, check_seed
from annatac.corpus.batches import in_order_of_depth, plan_batches
from annatac.corpus.cells import Cells, Rows
from annatac.corpus.store import Corpus
from annatac.model import artifact as artifacts
from annatac.model.artifact import Artifact, quantise
from annatac.model.network import Network
from annatac.pp.universe import Universe
from annatac.train.device import PRECISIONS, choose_device, choose_precision, compiling_pays
from annatac.train.distributed import is_first, rank, sum_over, together, wait, world_size
from annatac.train.finetune import fingerprint
from annatac.train.loop import BatchLoss, run
from annatac.train.objectives import OBJECTIVES, Setting
from annatac.train.objectives.terms import VALIDATION, popularity
from annatac.train.output import run_folder
from annatac.train.streamed_positions import island_positions
from annatac.train.unlabelled import from_corpus, from_matrix, profile_vectors, split

if TYPE_CHECKING:
    from anndata import AnnData


class PretrainTask:
    """Learn from unlabelled cells what the recipe's objective asks (:mod:`annatac.train.objectives`).

    Parameters
    ----------
    cells
        In memory or on disk.
    training, held_out
        Rows to learn from and rows to judge by.
    mean_openness
        (n_islands,), of the universe; by default all islands are as open as another.
    """

    phase = "pretrain"

    def __init__(
        self,
        network: Network,
        cells: Cells,
        config: PretrainConfig,
        *,
        training: Rows,
        held_out: Rows,
        seed: int,
        device: torch.device,
        mean_openness: npt.NDArray[np.floating] | None = None,
    ) -> None:
        network.encoder_dtype = choose_precision(config.precision, device)
        config = replace(
            config, precision=PRECISIONS[network.encoder_dtype]
        )  # 'auto' is not the same everywhere
        self.network, self.cells, self.config = network, cells, config
        self.training, self.held_out, self.seed, self.device = training, held_out, seed, device
        shares = popularity(np.ones(network.n_islands) if mean_openness is None else mean_openness)
        self.setting = Setting(network, cells, config, shares, seed, device)
        self.objective = OBJECTIVES[config.objective]
        self.fingerprint = fingerprint(cells, [held_out], config, network, seed)

    def batches(self, epoch: int) -> list[Rows]:
        """Return batches of training cells of like depth."""
        return self._plan(self.training, epoch)

    def read(self, rows: Rows, epoch: int) -> Any:
        """Return what the objective asks of the cells."""
        return self.objective.ask(self.setting, rows, epoch)

    def loss(self, asked: Any) -> BatchLoss:
        """Return the objective's mean loss over its questions; its weight is their number."""
        terms = self.objective.terms(self.network, asked)
        return BatchLoss(terms.loss / max(terms.n, 1), terms.n)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return loss and accuracy on held-out cells, asked alike every time."""
        if len(self.held_out) == 0:
            return {}
        self.network.eval()
        if self.cells.block > 1:  # in the order in which they lie together
            batches = self._plan(self.held_out, 0)
        else:
            n_tokens = self.network.n_tokens(self.cells.n_open[self.held_out])
            in_order = in_order_of_depth(
                n_tokens, batch_size=self.config.batch_size, token_budget=self.config.batch_tokens
            )
            batches = [self.held_out[chosen] for chosen in in_order]
        sums = torch.zeros(len(batches), 3, dtype=torch.float64)
        for i in range(rank(), len(batches), world_size()):
            terms = self.objective.terms(self.network, self.read(batches[i], VALIDATION))
            sums[i, 0], sums[i, 1], sums[i, 2] = terms.loss, terms.n_correct, terms.n
        total, correct, count = sum_over(sums).sum(0).tolist()
        loss = total / max(count, 1)
        return {"loss": loss, "accuracy": correct / max(count, 1), "score": -loss}

    def _plan(self, rows: Rows, epoch: int) -> list[Rows]:
        return plan_batches(
            rows,
            self.network.n_tokens(self.cells.n_open[rows]),
            batch_size=self.config.batch_size,
            seed=self.seed,
            epoch=epoch,
            token_budget=self.config.batch_tokens,
            block=self.cells.block,
        )


@together
def pretrain(
    cells: AnnData | Corpus,
    *,
    output: str | Path,
    recipe: str | Path | Recipe = "default",
    genes: str | Path | pd.DataFrame | None = None,
    bin_size: int | None = None,
    profiles: AnnData | None = None,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Train a base model on unlabelled cells and write its folder.

    Parameters
    ----------
    cells
        Cells x peaks or islands, counts; or an open corpus, which is streamed in blocks.
    output
        Model folder to write. Checkpoints live beside it, in ``OUTPUT.run``, until it is done.
    genes, bin_size
        As in :func:`annatac.finetune`; the islands of a corpus are those that it was written with.
    profiles
        Bulk profiles, types x peaks, bins or islands (whole numbers; ``obs['assay']`` where they are of several):
        the islands' vectors are then those of the profiles, not of the cells.
    recipe, seed, device, resume, overwrite, progress
        As in :func:`annatac.finetune`.

    Returns
    -------
    The folder; ``annatac.finetune(..., base=FOLDER)`` starts from it.

    Raises
    ------
    InputError, ConfigError, OutputError, Interrupted
        As :func:`annatac.finetune`.
    DamagedFileError
        A shard of the corpus does not fit its checksum.
    """
    recipe = Recipe.load(recipe)
    check_seed(seed)
    where = choose_device(device)
    choose_precision(recipe.pretrain.precision, where)  # refused before there is work to lose
    output = Path(output)
    folder = run_folder(output, resume=resume, overwrite=overwrite)
    if isinstance(cells, Corpus):
        source = from_corpus(cells, recipe, genes=genes, bin_size=bin_size)
    else:
        source = from_matrix(cells, recipe, genes=genes, bin_size=bin_size or 5000)
    universe, n_cells = source.universe, source.cells.n_cells
    training, held_out = split(source.cells, recipe.pretrain.validation_fraction, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(len(universe), 0, recipe.model)
    if profiles is None:
        positions = island_positions(source.cells, recipe.model.position_dim, seed)
    else:
        width = universe.bin_size or 5000
        positions = profile_vectors(universe, profiles, recipe.model.position_dim, bin_size=width)
    network.encoder.table.vectors.data.copy_(torch.from_numpy(positions))
    task = PretrainTask(
        network.to(where),
        source.cells,
        recipe.pretrain,
        training=training,
        held_out=held_out,
        seed=seed,
        device=where,
        mean_openness=universe.mean_openness,
    )
    with network.compiled(compiling_pays(where, len(training) * recipe.pretrain.epochs)):
        trained = run(task, recipe.pretrain, folder, seed=seed, resume=resume, progress=progress)
    network.load_state_dict(trained.best)
    quantise(network)
    figures = task.validate()
    network.encoder_dtype = torch.float32
    artifact = Artifact(
        network=network.cpu().eval(),
        universe=universe,
        classes=[],
        recipe=recipe,
        island_settings=source.island_settings,
        metrics={"held_out": figures, "n_held_out": len(held_out), "best_epoch": trained.best_epoch + 1},
        training={
            "n_cells": n_cells,
            "profiles": [] if profiles is None else [str(name) for name in profiles.obs_names],
            "precision": task.config.precision,
            "seed": seed,
        },
        card=_card(universe, n_cells, recipe.pretrain.objective, figures),
    )
    if is_first():
        artifact.run_log = (folder / "run.jsonl").read_text(encoding="utf-8")
        artifacts.save(artifact, output, overwrite=overwrite)
        shutil.rmtree(folder, ignore_errors=True)
    wait()  # whoever reads the model now finds it
    return output


def _card(universe: Universe, n_cells: int, objective: str, figures: dict[str, float]) -> str:
    place = universe.genome or "no assembly"
    judged = "No cell was held out to judge it by."
    if figures:
        judged = (
            f"On held-out cells it answers the objective's questions (`{objective}`) rightly in\n"
            f"{figures['accuracy']:.1%} of cases, loss {figures['loss']:.3f}."
        )
    return f"""# A base model for scATAC-seq

Pre-trained on {n_cells:,} unlabelled cells over {len(universe):,} islands ({place}).
It names no types: fine-tune it with `annatac finetune REFERENCE --base FOLDER -o MODEL`.
{judged}
"""
