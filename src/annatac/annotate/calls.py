"""From what the network says of a cell to what is written about it.

Everything here is a function of one cell's tokens and outputs, never of the query as a whole: a query of one
cell, one read in chunks and one shared among processes get the same calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.annotate.annotator import Annotator, Predictions
from annatac.errors import ConfigError
from annatac.pp.quality import MIN_OPEN


@dataclass(frozen=True, kw_only=True)
class CallSettings:
    """What a user may set about the calls.

    Attributes
    ----------
    novelty_threshold
        A cell whose best softmax is under it is called novel (the paper's rule).
    min_open
        Cells with fewer known open islands are flagged ``low_quality``.
    safe_level
        The probability that the safe label must have: 1 minus the error rate that is wished.
    """

    novelty_threshold: float = 0.5
    min_open: int = MIN_OPEN
    safe_level: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.novelty_threshold <= 1:
            raise ConfigError(f"The novelty threshold is {self.novelty_threshold}; 0 to 1 is expected.")
        if not 0 < self.safe_level <= 1:
            raise ConfigError(f"The safe level is {self.safe_level}; over 0, to 1, is expected.")


class Calls(NamedTuple):
    """What is written of n cells: ``obs`` columns (n rows, in order) and ``obsm`` arrays by slot."""

    obs: pd.DataFrame
    obsm: dict[str, npt.NDArray[Any]]


def make_calls(
    annotator: Annotator, tokens: sp.csr_matrix, predicted: Predictions, settings: CallSettings
) -> Calls:
    """Return labels, confidence, novelty and reasons of the cells of ``tokens``.

    Parameters
    ----------
    tokens
        uint8 CSR, n cells x islands of the model.
    predicted
        What :meth:`Annotator.predict` says of them.
    """
    best = predicted.probabilities.max(1)
    is_low = predicted.n_open < max(settings.min_open, 1)  # without a known island there is nothing to go by
    is_novel = (best < settings.novelty_threshold) & ~is_low
    names = np.array(annotator.classes, dtype=object)
    label = np.where(is_novel, keys.NOVEL_LABEL, names[predicted.probabilities.argmax(1)])
    reason = np.select([is_low, is_novel], ["low_quality", "novel"], default="")
    obs = pd.DataFrame(
        {
            keys.LABEL: pd.Categorical(label, categories=[*annotator.classes, keys.NOVEL_LABEL]),
            keys.CONFIDENCE: best,
            keys.NOVELTY: 1 - best,
            keys.IS_NOVEL: is_novel,
            keys.REASON: pd.Categorical(reason, categories=list(keys.REASONS)),
            keys.N_OPEN: predicted.n_open,
        }
    )
    if (tree := annotator.hierarchy) is not None:
        safe = tree.safe_labels(predicted.probabilities, settings.safe_level)
        obs[keys.LABEL_SAFE] = pd.Categorical(safe, categories=list(tree.types_of()))
    return Calls(obs, {keys.PROBABILITIES: predicted.probabilities, keys.EMBEDDING: predicted.embedding})
