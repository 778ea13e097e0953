"""What a model learnt from reference cells it has not seen: how far to trust what it says of a query's cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from annatac.annotate.calibration import METHOD, Calibration, fit_calibration
from annatac.annotate.conformal import Thresholds, thresholds
from annatac.annotate.evidence import Evidence, Floats, Profiles, evidence_of, evidence_without, profiles_of
from annatac.annotate.novelty import WITHIN_TYPE, Surprise
from annatac.model.artifact import RATIOS
from annatac.model.packing import rounded, table_bits

if TYPE_CHECKING:  # at run time it would bring scikit-learn into every annotation
    from annatac.train.crossfit import HeldOut

MIN_CELLS = 20  # held-out cells under which nothing is fitted
NOT_CALIBRATED = {"method": "none"}


class CellScores(NamedTuple):
    """How unusual n cells are, float32 (n,) each: shares in [0, 1] of held-out reference cells that they exceed.

    Attributes
    ----------
    novelty
        Of all held-out cells, by how new they look.
    within_type
        The same, of those that are called like the cell.
    doublet
        Of all held-out cells, by how much they look like two.
    """

    novelty: npt.NDArray[np.float32]
    within_type: npt.NDArray[np.float32]
    doublet: npt.NDArray[np.float32]

    def is_novel(self, rate: float) -> npt.NDArray[np.bool_]:
        """Tell the novel cells, so that of the known at most ``rate`` are called so, and of one type twice as many.

        Types differ in how well their profiles are known: by one threshold for all, most false alarms would fall on
        the rare.
        """
        return np.asarray((self.novelty > 1 - rate) & (self.within_type > 1 - WITHIN_TYPE * rate))


@dataclass(frozen=True)
class Trust:
    """Calibration, thresholds of prediction sets, novelty and doublets of a model.

    Attributes
    ----------
    calibration
        From logits to probabilities.
    set_probabilities, set_labels
        (m,): calibrated probability that held-out cells get for their true type, and this type.
    novelty
        Of three statistics, each with its sign turned: best decision value of the linear half (or best logit),
        best likelihood ratio, and the likelihood of that type. Its rarity knows what each held-out cell was called.
    doublets
        Of two: what a mixture of two types adds, and the likelihood of the best one with its sign turned.
    log_ratios, log_background
        float32 (L, C) and (L,), see :class:`annatac.annotate.evidence.Profiles`.
    """

    calibration: Calibration
    set_probabilities: npt.NDArray[np.float32]
    set_labels: npt.NDArray[np.int64]
    novelty: Surprise
    doublets: Surprise
    log_ratios: Floats
    log_background: Floats

    def probabilities(self, logits: Floats, n_open: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return calibrated probabilities, float32 (n, C)."""
        return self.calibration.probabilities(logits, n_open)

    def scores(
        self, tokens: sp.csr_matrix, called: npt.NDArray[np.int64], decision: Floats, n_open: npt.ArrayLike
    ) -> CellScores:
        """Return novelty and doublet score of n cells.

        Parameters
        ----------
        tokens
            CSR, n x L.
        called
            (n,), the type of the highest calibrated probability, 0..C-1.
        decision
            (n,), best decision value, as :class:`annatac.annotate.Predictions` has it.
        n_open
            (n,), known open islands.
        """
        evidence = evidence_of(tokens, self.log_ratios, self.log_background)
        total = self.novelty.total(novelty_statistics(decision, evidence), n_open)
        return CellScores(
            novelty=self.novelty.rarity(total),
            within_type=self.novelty.rarity.within_type(total, called),
            doublet=self.doublets(doublet_statistics(evidence), n_open),
        )

    def thresholds(self, error_rate: float) -> Thresholds:
        """Return the thresholds of prediction sets (see :func:`annatac.annotate.conformal.thresholds`)."""
        n_types = self.log_ratios.shape[1]
        return thresholds(self.set_probabilities, self.set_labels, n_types, error_rate)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``calibration.json`` holds."""
        n_types = self.log_ratios.shape[1]
        return {
            "method": METHOD,
            "n_held_out": len(self.set_labels),
            "held_out_per_type": np.bincount(self.set_labels, minlength=n_types).tolist(),
            "probabilities": self.calibration.to_dict(),
            "novelty": self.novelty.to_dict(),
            "doublets": self.doublets.to_dict(),
        }

    def tensors(self) -> dict[str, Tensor]:
        """Return what ``calibration.safetensors`` holds."""
        types = self.novelty.rarity.types  # an older annatac kept none
        return {
            "set_probabilities": torch.from_numpy(self.set_probabilities),
            "set_labels": torch.from_numpy(self.set_labels),
            "novelty_scores": torch.from_numpy(self.novelty.rarity.scores),
            "doublet_scores": torch.from_numpy(self.doublets.rarity.scores),
            RATIOS: torch.from_numpy(np.column_stack([self.log_ratios, self.log_background])),
            **({} if types is None else {"novelty_types": torch.from_numpy(types)}),
        }

    @classmethod
    def of(cls, content: dict[str, Any], tensors: dict[str, Tensor]) -> Trust | None:
        """Return what :meth:`to_dict` and :meth:`tensors` wrote; None of a model that was not calibrated so."""
        if content.get("method") != METHOD:
            return None
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        table = arrays[RATIOS].astype(np.float32)
        if table.shape[1] != len(content["held_out_per_type"]) + 1:  # an older annatac kept no background
            return None
        return cls(
            calibration=Calibration.from_dict(content["probabilities"]),
            set_probabilities=arrays["set_probabilities"],
            set_labels=arrays["set_labels"],
            novelty=Surprise.from_dict(
                content["novelty"], arrays["novelty_scores"], arrays.get("novelty_types")
            ),
            doublets=Surprise.from_dict(content["doublets"], arrays["doublet_scores"]),
            log_ratios=np.ascontiguousarray(table[:, :-1]),
            log_background=table[:, -1].copy(),
        )


def fit_trust(
    held_out: HeldOut,
    tokens: sp.csr_matrix,
    labels: npt.NDArray[np.int64],
    n_types: int,
    groups: npt.NDArray[np.generic] | None = None,
) -> Trust | None:
    """Return what held-out cells teach, or None where they are fewer than 20.

    Parameters
    ----------
    held_out
        The cells and their scores (:func:`annatac.train.crossfit.cross_fitted`).
    tokens, labels
        CSR (n, L) and int64 (n,), of the whole reference.
    groups
        Donors or batches (n,): the likelihoods of a cell then come from the other ones, else from all other
        cells.
    """
    rows = held_out.rows
    if len(rows) < MIN_CELLS:
        return None
    own, n_open = labels[rows], np.diff(tokens.indptr)[rows]
    calibration = fit_calibration(held_out.logits, own, n_open)
    probabilities = calibration.probabilities(held_out.logits, n_open)
    profiles = profiles_of(tokens, labels, n_types)
    evidence = _held_out_evidence(tokens, labels, profiles, rows, groups)
    decision = best_decision(held_out.logits, held_out.wide)
    tables = torch.from_numpy(np.column_stack([profiles.log_ratios(), profiles.log_background()]))
    table = rounded(tables, table_bits(len(tables))).numpy()  # as it is stored
    return Trust(
        calibration=calibration,
        set_probabilities=probabilities[np.arange(len(rows)), own],
        set_labels=own,
        novelty=Surprise.fit(novelty_statistics(decision, evidence), n_open, probabilities.argmax(1)),
        doublets=Surprise.fit(doublet_statistics(evidence), n_open),
        log_ratios=np.ascontiguousarray(table[:, :-1]),
        log_background=table[:, -1].copy(),
    )


def best_decision(logits: Floats, wide: Floats | None) -> Floats:
    """Return each cell's best decision value of the wide path's linear half, or best logit without one, (n,)."""
    return (logits if wide is None else wide[0]).max(1)


def novelty_statistics(decision: Floats, evidence: Evidence) -> list[npt.NDArray[np.floating]]:
    """Return what novelty joins, the higher the newer: (n,) each, see :class:`Trust`."""
    return [-decision, -evidence.best, -evidence.fit]


def doublet_statistics(evidence: Evidence) -> list[npt.NDArray[np.floating]]:
    """Return what the doublet score joins, the higher the likelier: (n,) each, see :class:`Trust`."""
    return [evidence.mixed, -evidence.fit]


def _held_out_evidence(
    tokens: sp.csr_matrix,
    labels: npt.NDArray[np.int64],
    profiles: Profiles,
    rows: npt.NDArray[np.int64],
    groups: npt.NDArray[np.generic] | None,
) -> Evidence:
    """Return the evidence of reference cells under profiles without the cell, or without its whole group."""
    if groups is None or len(np.unique(groups)) < 2:
        return evidence_without(tokens[rows], profiles, labels[rows])
    found = np.zeros((3, len(rows)), np.float32)
    for group in np.unique(groups[rows]):
        others, inside = np.flatnonzero(groups != group), groups[rows] == group
        of_others = profiles_of(tokens[others], labels[others], len(profiles.counts))
        one = evidence_of(tokens[rows[inside]], of_others.log_ratios(), of_others.log_background())
        found[:, inside] = one.best, one.fit, one.mixed
    return Evidence(*found)
