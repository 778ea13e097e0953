"""From what the network says of a cell to what is written about it.

Everything here is a function of one cell's tokens and outputs, never of the query as a whole: a query of one
cell, one read in chunks and one shared among processes get the same calls.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.annotate.annotator import Annotator, Predictions
from annatac.annotate.conformal import check_error_rate, prediction_sets
from annatac.annotate.trust import MIN_CELLS
from annatac.errors import ConfigError, ModelError, nearest
from annatac.model.artifact import PROFILES
from annatac.pp.quality import MIN_OPEN

SOFTMAX, EVIDENCE = "softmax", "evidence"
NOVELTY_METHODS = (EVIDENCE, SOFTMAX)
SOFTMAX_THRESHOLD = 0.5  # the paper's
DOUBLET_RATE = 0.01  # of the reference's held-out cells called doublets
AMBIGUOUS_RATIO = 0.5  # a second type at least so probable as the best, times this


@dataclass(frozen=True, kw_only=True)
class CallSettings:
    """What a user may set about the calls.

    Attributes
    ----------
    novelty_method
        'evidence': a cell is novel where less speaks for its best type than for all but a share
        ``novelty_rate`` of held-out reference cells of its depth, and all but twice that share of those called
        like it; 'softmax', the paper's rule: where its best softmax, before calibration, is under
        ``novelty_threshold``. None: the first where the model can, the second where a threshold is given.
    novelty_rate
        Share of cells of known types that may be called novel; of those of one type, twice as many.
    novelty_threshold
        None: 0.5 where it is needed.
    min_open
        Cells with fewer known open islands are flagged ``low_quality``.
    safe_level
        The probability that the safe label must have: 1 minus the error rate that is wished.
    error_rate
        Share of cells whose prediction set may miss their type; None for no sets.
    adapt
        Take the query's own cells into the types' profiles (:func:`annatac.annotate.adapt.adapt`).
    """

    novelty_method: str | None = None
    novelty_rate: float = 0.05
    novelty_threshold: float | None = None
    min_open: int = MIN_OPEN
    safe_level: float = 0.95
    error_rate: float | None = None
    adapt: bool = False

    def __post_init__(self) -> None:
        method, threshold = self.novelty_method, self.novelty_threshold
        if method is not None and method not in NOVELTY_METHODS:
            raise ConfigError(
                f"Novelty method '{method}' is unknown; known are: {', '.join(NOVELTY_METHODS)}."
                f"{nearest(method, NOVELTY_METHODS)}"
            )
        if threshold is not None and not 0 <= threshold <= 1:
            raise ConfigError(f"The novelty threshold is {threshold}; 0 to 1 is expected.")
        if threshold is not None and method == EVIDENCE:
            raise ConfigError(
                f"A novelty threshold ({threshold:g}) is one of the softmax, and the method is '{EVIDENCE}'. Give a "
                "novelty rate instead, or leave the method away."
            )
        if not 0 < self.novelty_rate < 1:
            raise ConfigError(
                f"The novelty rate is {self.novelty_rate:g}; a number over 0 and under 1 is expected, such as 0.05: "
                "the share of known cells that may be called novel."
            )
        if not 0 < self.safe_level <= 1:
            raise ConfigError(f"The safe level is {self.safe_level}; over 0, to 1, is expected.")
        if self.error_rate is not None:
            check_error_rate(self.error_rate)

    def for_model(self, annotator: Annotator) -> CallSettings:
        """Return the settings with the novelty method and its threshold decided.

        Raises
        ------
        ModelError
            They ask for what only a calibrated model can give, or to adapt one that cannot be.
        """
        method = self.novelty_method
        if annotator.trust is None and (method == EVIDENCE or self.error_rate is not None):
            wish = "prediction sets" if self.error_rate is not None else f"novelty by '{EVIDENCE}'"
            raise ModelError(
                f"This model was not calibrated, which {wish} would need: fewer than {MIN_CELLS} cells of its "
                "reference could be held out, or an older annatac wrote it. Fine-tune again with more labelled cells, "
                f"or use `--novelty-method {SOFTMAX}` and no error rate."
            )
        if self.adapt:
            _check_adaptable(annotator)
        if method is None:
            by_softmax = self.novelty_threshold is not None or annotator.trust is None
            method = SOFTMAX if by_softmax else EVIDENCE
        threshold = self.novelty_threshold
        if method == SOFTMAX and threshold is None:
            threshold = SOFTMAX_THRESHOLD
        return replace(self, novelty_method=method, novelty_threshold=threshold)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings that were used, for ``uns['annatac']['parameters']``."""
        unused = "novelty_threshold" if self.novelty_method == EVIDENCE else "novelty_rate"
        return {name: value for name, value in asdict(self).items() if value is not None and name != unused}


class Calls(NamedTuple):
    """What is written of n cells: ``obs`` columns (n rows, in order) and ``obsm`` arrays by slot."""

    obs: pd.DataFrame
    obsm: dict[str, npt.NDArray[Any]]


def make_calls(
    annotator: Annotator,
    tokens: sp.csr_matrix,
    predicted: Predictions,
    settings: CallSettings,
    adapted: npt.NDArray[np.float32] | None = None,
) -> Calls:
    """Return labels, confidence, novelty and reasons of the cells of ``tokens``.

    Parameters
    ----------
    tokens
        uint8 CSR, n cells x islands of the model.
    predicted
        What :meth:`Annotator.predict` says of them.
    adapted
        Logits (n, C) by which the known types are weighed, in the place of the network's own; novelty and doublets
        are told by ``predicted`` whatever they are.
    """
    settings = settings.for_model(annotator)
    trust, raw, n_open = annotator.trust, predicted.probabilities, predicted.n_open
    novelty, doublet = 1 - raw.max(1), None
    unadapted = annotator.calibrated(predicted)
    probabilities = unadapted if adapted is None else annotator.calibrated(replace(predicted, logits=adapted))
    is_novel = raw.max(1) < (settings.novelty_threshold or 0)
    if trust is not None:
        scores = trust.scores(tokens, unadapted.argmax(1), predicted.decision, n_open)
        doublet = scores.doublet
        if settings.novelty_method == EVIDENCE:
            novelty, is_novel = scores.novelty, scores.is_novel(settings.novelty_rate)
    is_low = n_open < max(settings.min_open, 1)  # without a known island there is nothing to go by
    is_novel &= ~is_low
    best = probabilities.argmax(1)
    is_doublet = np.zeros(len(best), bool) if doublet is None else doublet > 1 - DOUBLET_RATE
    reasons = {
        "low_quality": is_low,
        "novel": is_novel,
        "doublet": is_doublet,
        "ambiguous": is_ambiguous(probabilities),
    }
    reason = np.select(list(reasons.values()), list(reasons), default="")
    label = np.where(is_novel, keys.NOVEL_LABEL, np.array(annotator.classes, dtype=object)[best])
    obs = pd.DataFrame(
        {
            keys.LABEL: pd.Categorical(label, categories=[*annotator.classes, keys.NOVEL_LABEL]),
            keys.CONFIDENCE: probabilities.max(1),
            keys.NOVELTY: novelty,
            keys.IS_NOVEL: is_novel,
            keys.REASON: pd.Categorical(reason, categories=list(keys.REASONS)),
            keys.N_OPEN: n_open,
        }
    )
    if doublet is not None:
        obs[keys.DOUBLET_SCORE] = doublet
    if (tree := annotator.hierarchy) is not None:
        safe = tree.safe_labels(probabilities, settings.safe_level)
        obs[keys.LABEL_SAFE] = pd.Categorical(safe, categories=list(tree.types_of()))
    obsm: dict[str, npt.NDArray[Any]] = {
        keys.PROBABILITIES: probabilities,
        keys.EMBEDDING: predicted.embedding,
    }
    if trust is not None and settings.error_rate is not None:
        obsm[keys.PREDICTION_SET] = prediction_sets(probabilities, trust.thresholds(settings.error_rate))
    return Calls(obs, obsm)


def _check_adaptable(annotator: Annotator) -> None:
    if annotator.artifact.network.wide is None:
        raise ModelError(
            "Only the profiles of the wide path are adapted to a query, and this model has none (its recipe says "
            "`model.wide: false`). Leave `--adapt` away."
        )
    if not {PROFILES, "n_cells"} <= annotator.artifact.reference.keys():
        raise ModelError(
            "Adapting to a query needs the types' profiles in the model's `reference.safetensors`, and this model was "
            "made without. Fine-tune it again and keep the reference, or leave `--adapt` away."
        )


def is_ambiguous(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Tell which cells lie between two types: the second is more than half as probable as the best."""
    if probabilities.shape[1] < 2:
        return np.zeros(len(probabilities), dtype=bool)
    second, best = np.partition(probabilities, -2, axis=1)[:, -2:].T
    return np.asarray(second > AMBIGUOUS_RATIO * best)
