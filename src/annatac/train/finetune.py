"""Fine-tuning: labelled cells teach the whole network to name types (paper, Methods, "Fine-tuning")."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from sklearn.metrics import f1_score
from torch import Tensor, nn

from annatac.config import FinetuneConfig
from annatac.corpus.batches import Rows, collate, in_order_of_depth, plan_batches, thinned
from annatac.corpus.cells import Cells, CsrCells
from annatac.corpus.streams import keyed_dropout
from annatac.model.network import Network, Output
from annatac.model.tokens import TokenBatch, sent
from annatac.model.wide import relative_depth
from annatac.train.device import PRECISIONS, choose_precision
from annatac.train.distributed import rank, sum_over, world_size
from annatac.train.loop import BatchLoss
from annatac.train.wide import WideTables, fit_wide, start_gate


class Scores(NamedTuple):
    """Logits of m cells, float32 (m, C), and the wide path's scores, float32 (S, m, C), where there is one."""

    logits: npt.NDArray[np.float32]
    wide: npt.NDArray[np.float32] | None


class Lesson(NamedTuple):
    """Labelled cells as a step takes them, on the network's device.

    Attributes
    ----------
    batch
        Thinned.
    scores
        The wide path's, float32 (S, B, C), or None.
    dropout_BH
        See :class:`annatac.model.heads.CNNHead`.
    targets
        int64 (B,).
    weight
        Sum of the cells' class weights.
    """

    batch: TokenBatch
    scores: Tensor | None
    dropout_BH: Tensor | None
    targets: Tensor
    weight: float


class FinetuneTask:
    """Cross-entropy with class weights on labelled cells.

    Parameters
    ----------
    tokens
        uint8 CSR, cells x islands, classes 1..5 where open.
    labels
        int64, type 0..C-1 of each cell.
    training, held_out
        Rows to learn from and rows to judge by.
    groups
        Donor or batch of each cell: the wide path is cross-fitted over whole groups where there are enough.
    tables
        The wide path, where it is fitted already.

    Notes
    -----
    The paper's class weight is (1 - frequency)^2 (``published``). The default has none: the linear part of
    the wide path is class-balanced already, and weighing the loss as well cost accuracy without a gain in
    macro-F1 and made the probabilities those of other frequencies. Thinning is ours. The paper stops by
    accuracy; with few held-out cells of a rare type their loss is the steadier judge (docs/recipes.md).
    """

    phase: str = "finetune"

    def __init__(
        self,
        network: Network,
        tokens: sp.csr_matrix,
        labels: npt.NDArray[np.int64],
        config: FinetuneConfig,
        *,
        training: Rows,
        held_out: Rows,
        seed: int,
        device: torch.device,
        groups: npt.NDArray[np.generic] | None = None,
        tables: WideTables | None = None,
    ) -> None:
        network.encoder_dtype = choose_precision(config.precision, device)
        config = replace(
            config, precision=PRECISIONS[network.encoder_dtype]
        )  # 'auto' is not the same everywhere
        self.network, self.tokens, self.labels, self.config = network, tokens, labels, config
        self.training, self.held_out, self.seed, self.device = training, held_out, seed, device
        self.targets = torch.from_numpy(labels)
        self.class_weights = class_weights(labels[training], network.n_types, config.class_weight)
        self.n_open = np.diff(tokens.indptr)
        self.tables: WideTables | None = tables
        if network.wide is not None:
            self.tables = tables or wide_tables(network, tokens, labels, config, seed, groups)
            self.tables.install(network.wide)
            network.rank_islands()
            scores = self.tables.scores_of(tokens, training)
            n_open = torch.from_numpy(np.maximum(self.n_open[training], 1).astype(np.float32))
            depth = relative_depth(n_open, self.tables.typical_open)
            start_gate(network.wide, scores, self.targets[training], depth, self.class_weights)
        folds = [] if self.tables is None else [self.tables.fold]
        self.fingerprint = fingerprint(CsrCells(tokens), [labels, held_out, *folds], config, network, seed)

    def batches(self, epoch: int) -> list[Rows]:
        """Return batches of training cells of like depth."""
        return plan_batches(
            self.training,
            self.network.n_tokens(self.n_open[self.training]),
            batch_size=self.config.batch_size,
            seed=self.seed,
            epoch=epoch,
            token_budget=self.config.batch_tokens,
        )

    def read(self, rows: Rows, epoch: int) -> Lesson:
        """Return the cells, thinned; thinning and dropout are keyed by (seed, epoch, cell)."""
        keep = thinned(self.tokens, rows, most=self.config.thinning, seed=self.seed, epoch=epoch)
        batch, scores = self._cells(rows, keep)
        config = self.network.config
        dropout = keyed_dropout(config.dropout, rows, sum(config.head_hidden), seed=self.seed, epoch=epoch)
        dropout_BH = None if dropout is None else sent(torch.from_numpy(dropout), self.device)
        targets = self.targets[rows]
        weight = float(self.class_weights[targets].sum(dtype=torch.float64))
        return Lesson(batch, scores, dropout_BH, sent(targets, self.device), weight)

    def loss(self, lesson: Lesson) -> BatchLoss:
        """Return the weighted cross-entropy, plus that of the vector's own readout."""
        loss = nn.CrossEntropyLoss(
            self.class_weights.to(self.device), label_smoothing=self.config.label_smoothing
        )
        logits = self._logits(lesson.batch, lesson.scores, lesson.dropout_BH)
        mean = torch.stack([loss(each, lesson.targets) for each in logits]).sum()
        return BatchLoss(mean, lesson.weight)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return loss, accuracy and macro-F1 of the held-out cells; the recipe says which is the score.

        ``loss`` is what is trained, without class weights. Where there is a wide path it includes
        ``embedding_loss``, that of the vector's own readout: an epoch is not the best as long as the vectors
        say nothing.
        """
        if len(self.held_out) == 0:
            return {}
        self.network.eval()
        n_tokens = self.network.n_tokens(self.n_open[self.held_out])
        n_outputs = 1 if self.network.readout is None else 2
        outputs = torch.zeros(n_outputs, len(self.held_out), self.network.n_types)
        for chosen in in_order_of_depth(n_tokens, batch_size=256)[rank() :: world_size()]:
            for output, found in zip(outputs, self._logits(*self._cells(self.held_out[chosen])), strict=True):
                output[chosen] = found.float().cpu()
        sum_over(outputs)  # each process has filled in its own batches
        logits, targets = outputs[0], self.targets[self.held_out]
        losses = [float(nn.functional.cross_entropy(output, targets)) for output in outputs]
        truth = self.labels[self.held_out]
        guess = logits.argmax(1).numpy()
        figures = {
            "loss": sum(losses),
            "accuracy": float((guess == truth).mean()),
            "macro_f1": float(f1_score(truth, guess, average="macro", zero_division=0)),
        }
        if n_outputs == 2:
            figures["embedding_loss"] = losses[1]
        figures["score"] = {
            "accuracy": figures["accuracy"],
            "accuracy+macro_f1": figures["accuracy"] + figures["macro_f1"],
            "loss": -figures["loss"],
        }[self.config.monitor]
        return figures

    @torch.no_grad()
    def scores(self, rows: Rows) -> Scores:
        """Return what the network and the wide path's tables, each cell's own fold left out, say of cells."""
        self.network.eval()
        n_types = self.network.n_types
        logits = torch.zeros(len(rows), n_types)
        n_scores = 0 if self.network.wide is None else self.network.wide.n_scores
        wide = torch.zeros(n_scores, len(rows), n_types)
        n_tokens = self.network.n_tokens(self.n_open[rows])
        for chosen in in_order_of_depth(n_tokens, batch_size=256)[rank() :: world_size()]:
            logits[chosen] = self._logits(*self._cells(rows[chosen]))[0].float().cpu()
            if self.tables is not None:
                wide[:, chosen] = self.tables.scores(collate(self.tokens, rows[chosen]), rows[chosen])
        sum_over(logits)  # each process has filled in its own batches
        sum_over(wide)
        return Scores(logits.numpy(), None if self.tables is None else wide.numpy())

    def _cells(
        self, rows: Rows, keep: npt.NDArray[np.bool_] | None = None
    ) -> tuple[TokenBatch, Tensor | None]:
        """Return cells and the wide path's scores of them, on the network's device."""
        batch = collate(self.tokens, rows, keep)
        scores = None if self.tables is None else sent(self.tables.scores(batch, rows), self.device)
        return batch.to(self.device), scores

    def _logits(
        self, batch: TokenBatch, scores: Tensor | None, dropout_BH: Tensor | None = None
    ) -> list[Tensor]:
        """Return the types' logits and, where there is a wide path, those of the vector's readout."""
        output: Output = self.network(batch, scores, dropout_BH)
        return [output.logits_BC] if output.readout_BC is None else [output.logits_BC, output.readout_BC]


def wide_tables(
    network: Network,
    tokens: sp.csr_matrix,
    labels: npt.NDArray[np.int64],
    config: FinetuneConfig,
    seed: int,
    groups: npt.NDArray[np.generic] | None,
    fold: npt.NDArray[np.int64] | None = None,
) -> WideTables:
    """Fit the wide path of a network as the recipe has it, on all cells; see :func:`annatac.train.wide.fit_wide`."""
    return fit_wide(
        tokens,
        labels,
        n_types=network.n_types,
        n_folds=config.wide_folds,
        c=config.wide_c,
        smoothing=config.wide_smoothing,
        seed=seed,
        groups=groups,
        fold=fold,
        background=config.wide_background,
        vectors=_vectors(network),
        prior_strength=config.prior_strength,
        prior_ridge=config.prior_ridge,
    )


def _vectors(network: Network) -> npt.NDArray[np.float32] | None:
    """Return the island vectors where the wide path reads them: those of a base model."""
    if network.wide is None or network.wide.n_scores == 2:
        return None
    vectors: npt.NDArray[np.float32] = network.encoder.table.vectors.detach().cpu().numpy().copy()
    return vectors


def class_weights(labels: npt.NDArray[np.integer], n_types: int, how: str) -> Tensor:
    """Return the weight of each type, (C,) float32, mean 1 over the cells.

    ``published``: (1 - frequency)^2; ``balanced``: 1 / frequency; ``sqrt``: its square root; ``none``: 1.
    """
    frequency = np.bincount(labels, minlength=n_types) / max(len(labels), 1)
    present = np.maximum(frequency, 1e-12)
    weight = {
        "published": (1 - frequency) ** 2,
        "balanced": 1 / present,
        "sqrt": present**-0.5,
        "none": np.ones(n_types),
    }[how]
    weight = np.where(frequency > 0, weight, 0)
    return torch.from_numpy((weight / max((weight * frequency).sum(), 1e-12)).astype(np.float32))


def fingerprint(cells: Cells, arrays: list[Any], config: Any, network: Network, seed: int) -> str:
    """Return a hash of all that a run depends on, by which a checkpoint knows its own run.

    ``arrays``: integers beside the cells: labels, rows held out, folds.
    """
    digest = hashlib.sha256(cells.checksum.encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    settings = [asdict(config), asdict(network.config), network.n_islands, network.n_types, seed]
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()
