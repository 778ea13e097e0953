"""Labels of the reference that are probably wrong, told by the wide path's scores of cells that it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from annatac.model.wide import relative_depth
from annatac.train.distributed import from_first
from annatac.train.wide import WideTables, started_logits

LEAST = 0.02  # estimated share of wrong labels under which all are taken as right
SURE = 11.0  # likelihood ratio under which all are, too: chance exceeds it in one reference of a thousand
MOST = 0.5  # of a type's labels that are left out
_START = -3.0  # logit of the share from which its search starts


class Doubts(NamedTuple):
    """What n labels look like beside the cells themselves.

    Attributes
    ----------
    share
        Of all labels, how many are estimated to be wrong.
    evidence
        How much more probable that share makes all labels than none wrong: 2 log of the ratio.
    right
        float32 (n,), how probable it is that the label is right.
    likely
        int64 (n,), the type that the cell looks like.
    wrong
        bool (n,), the labels that are not to be learnt from.
    """

    share: float
    evidence: float
    right: npt.NDArray[np.float32]
    likely: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.bool_]


def doubts(tables: WideTables, tokens: sp.csr_matrix, labels: npt.NDArray[np.int64]) -> Doubts:
    """Judge each label by tables that were fitted without its cell.

    Of several processes one judges. The tables' folds should not be whole donors or batches: of the tables of other
    studies a study's cells would look mislabelled that only lie elsewhere.

    Notes
    -----
    A label is taken to be the cell's type but for an unknown share of cells, whose label is another type's, drawn by
    the frequencies of the labels. That share, and how far to trust the tables' scores, are those by which all labels
    are the most probable together. From a share of 2 % on, the labels that are more probably wrong than right are
    ``wrong``, of a type at most twice the share, and half its labels (a rare type's cells may only look
    unlike its few others).
    """

    def judge() -> dict[str, Tensor]:
        scores = tables.scores_of(tokens, np.arange(len(labels)))
        n_open = torch.from_numpy(np.maximum(np.diff(tokens.indptr), 1)).float()
        depth = relative_depth(n_open, tables.typical_open)
        found = explained(scores, torch.from_numpy(labels), depth)
        return {
            "told": torch.tensor([found.share, found.evidence]),
            "right": found.right,
            "likely": found.likely,
        }

    found = from_first(judge)
    (share, evidence), right = found["told"].tolist(), found["right"].numpy()
    wrong = improbable(right, labels, share if evidence > SURE else 0.0)
    return Doubts(share, evidence, right, found["likely"].numpy(), wrong)


class Explained(NamedTuple):
    """What :func:`explained` finds: see :class:`Doubts`."""

    share: float
    evidence: float
    right: Tensor
    likely: Tensor


def explained(scores: Tensor, labels: Tensor, depth: Tensor) -> Explained:
    """Fit the share of wrong labels and the trust in the scores to the labels.

    ``scores`` (S, n, C), ``labels`` (n,), ``depth`` (n,) relative to a typical cell's.
    """
    n_types = scores.shape[2]
    frequency = torch.bincount(labels, minlength=n_types).clamp(min=1) / len(labels)
    trust = torch.zeros(len(scores), requires_grad=True)
    offset = torch.zeros(n_types, requires_grad=True)
    logit = torch.tensor(_START, requires_grad=True)

    def parts(share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return each cell's types, and how probable its label is as its own type's and as another's."""
        types = started_logits(scores, trust, offset, frequency.log(), depth).softmax(1)
        own = types.gather(1, labels[:, None])[:, 0]
        drawn = types / (1 - frequency).clamp(min=1e-6)
        other = frequency[labels] * (drawn.sum(1) - drawn.gather(1, labels[:, None])[:, 0])
        return types, (1 - share) * own, share * other

    def fitted(share: Callable[[], Tensor], free: list[Tensor]) -> float:
        """Fit what is free; return the mean loss."""
        optimizer = torch.optim.LBFGS(free, max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            _, own, other = parts(share())
            loss = 1e-3 * offset.square().mean() - (own + other + 1e-12).log().mean()
            loss.backward()
            return loss

        with torch.enable_grad():
            optimizer.step(closure)
            return float(closure().detach())

    without = fitted(lambda: torch.zeros(()), [trust, offset])
    loss = fitted(logit.sigmoid, [trust, offset, logit])
    evidence = max(2 * len(labels) * (without - loss), 0.0)
    with torch.no_grad():
        types, own, other = parts(logit.sigmoid())
        right = own / (own + other).clamp(min=1e-30)
        return Explained(float(logit.sigmoid()), evidence, right, types.argmax(1))


def improbable(
    right: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], share: float
) -> npt.NDArray[np.bool_]:
    """Return the labels that are more probably wrong than right, (n,): see :func:`doubts`."""
    wrong = np.zeros(len(labels), dtype=bool)
    if share < LEAST:
        return wrong
    for type_ in np.unique(labels):
        rows = np.flatnonzero(labels == type_)
        rows = rows[np.argsort(right[rows], kind="stable")][: int(min(2 * share, MOST) * len(rows))]
        wrong[rows[right[rows] < 0.5]] = True
    return wrong
