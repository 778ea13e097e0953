"""Fitting the wide path: a linear model and type profiles, cross-fitted for training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.utils import check_random_state
from torch import Tensor, nn

from annatac.model.tokens import TokenBatch
from annatac.model.wide import WidePath, wide_scores
from annatac.train.distributed import from_first
from annatac.train.positions import inverse_document_frequency, tf_idf

ABSENT = -5.0  # decision value of a type that a fold's training cells lack


@dataclass(frozen=True)
class WideTables:
    """Tables of every fold, one below the other, the one fitted on all cells last.

    Attributes
    ----------
    linear, profile
        float32 ((folds + 1) x L, C).
    bias
        float32 (folds + 1, C).
    idf
        float32 (L,).
    fold
        int64, for each cell the table that was fitted without it.
    """

    linear: Tensor
    profile: Tensor
    bias: Tensor
    idf: Tensor
    fold: npt.NDArray[np.int64]

    def scores(self, batch: TokenBatch, rows: npt.NDArray[np.int64]) -> Tensor:
        """Return (2, B, C): the scores of training cells by tables that have not seen them."""
        fold = torch.from_numpy(self.fold[rows])
        offset = fold * len(self.idf)
        return wide_scores(batch, self.linear, self.profile, self.idf, self.bias[fold], offset)

    def install(self, path: WidePath) -> None:
        """Copy the tables fitted on all cells into the network."""
        n_islands = len(self.idf)
        path.linear.copy_(self.linear[-n_islands:])
        path.profile.copy_(self.profile[-n_islands:])
        path.bias.copy_(self.bias[-1])
        path.idf.copy_(self.idf)


def fit_wide(
    tokens: sp.csr_matrix,
    labels: npt.NDArray[np.integer],
    *,
    n_types: int,
    n_folds: int,
    c: float,
    smoothing: float,
    seed: int,
    groups: npt.NDArray[np.generic] | None = None,
) -> WideTables:
    """Fit the wide path on all cells and on all but each fold.

    The linear part is a class-balanced L2 logistic regression on TF-IDF; a type's profile is
    log(cells with the island open + smoothing), normalised over islands and centred over types
    (multinomial naive Bayes without a prior). Folds are whole ``groups`` (donors, batches) where there
    are two or more, stratified by type else.
    Of several processes one fits.
    """

    def fit() -> dict[str, Tensor]:
        idf = inverse_document_frequency(tokens)
        weighted = tf_idf(tokens, idf)
        binary = sp.csr_matrix((np.ones(tokens.nnz), tokens.indices, tokens.indptr), shape=tokens.shape)
        fold = _folds(labels, n_folds, seed, groups)
        tables = []
        for k in [*range(fold.max() + 1), -1]:
            rows = np.flatnonzero(fold != k)
            linear, bias = _fit_linear(weighted[rows], labels[rows], n_types, c, seed)
            tables.append((linear, bias, _profiles(binary[rows], labels[rows], n_types, smoothing)))
        return {
            "linear": torch.from_numpy(np.concatenate([table[0] for table in tables])),
            "bias": torch.from_numpy(np.stack([table[1] for table in tables])),
            "profile": torch.from_numpy(np.concatenate([table[2] for table in tables])),
            "idf": torch.from_numpy(idf),
            "fold": torch.from_numpy(fold),
        }

    tables = from_first(fit)
    fold = tables.pop("fold").numpy()
    return WideTables(**tables, fold=fold)


def start_gate(path: WidePath, scores: Tensor, targets: Tensor, class_weights: Tensor) -> None:
    """Set the gate to the constant trust, and the offset, that explain the cross-fitted scores best.

    ``scores`` (2, n, C) and ``targets`` (n,) are of the training cells. From here the gate learns how trust
    depends on depth; without it a small reference ends before the wide path has found its scale.
    """
    trust = torch.zeros(2, requires_grad=True)
    offset = torch.zeros(scores.shape[2], requires_grad=True)
    optimizer = torch.optim.LBFGS([trust, offset], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        scale = nn.functional.softplus(trust)
        logits = scores[0] * scale[0] + scores[1] * scale[1] + offset
        loss = nn.functional.cross_entropy(logits, targets, weight=class_weights)
        loss = loss + 1e-3 * offset.square().mean()  # one solution of many: offsets near 0
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    last = path.gate[2]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.bias.copy_(trust.clamp(-6, 20))
        path.offset.copy_(offset)


def _folds(
    labels: npt.NDArray[np.integer], n_folds: int, seed: int, groups: npt.NDArray[np.generic] | None
) -> npt.NDArray[np.int64]:
    fold = np.zeros(len(labels), dtype=np.int64)
    n_groups = 0 if groups is None else len(np.unique(groups))
    if n_groups > 1:  # a donor's cells are never scored by tables that have seen the donor
        splits = GroupKFold(min(n_folds, n_groups)).split(labels, labels, groups)
        for k, (_, held) in enumerate(splits):
            fold[held] = k
        return fold
    # a type with fewer cells than folds is spread over some of them
    random = check_random_state(seed)
    n_smallest = int(np.bincount(labels)[np.unique(labels)].min())
    if n_smallest >= n_folds:
        for k, (_, held) in enumerate(
            StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(labels, labels)
        ):
            fold[held] = k
        return fold
    for type_ in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == type_))
        fold[rows] = (np.arange(len(rows)) + random.randint(n_folds)) % n_folds
    return fold


def _fit_linear(
    weighted: sp.csr_matrix, labels: npt.NDArray[np.integer], n_types: int, c: float, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    import warnings

    coefficients = np.zeros((n_types, weighted.shape[1]), dtype=np.float32)
    intercepts = np.full(n_types, ABSENT, dtype=np.float32)
    present = np.unique(labels)
    if len(present) == 1:
        intercepts[present] = 0
        return np.ascontiguousarray(coefficients.T), intercepts
    model = LogisticRegression(C=c, class_weight="balanced", max_iter=200, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(weighted, labels)
    if len(present) == 2:
        coefficients[present] = np.concatenate([-model.coef_ / 2, model.coef_ / 2])
        intercepts[present] = np.concatenate([-model.intercept_ / 2, model.intercept_ / 2])
    else:
        coefficients[present] = model.coef_
        intercepts[present] = model.intercept_
    return np.ascontiguousarray(coefficients.T), intercepts


def _profiles(
    binary: sp.csr_matrix, labels: npt.NDArray[np.integer], n_types: int, smoothing: float
) -> npt.NDArray[np.float32]:
    members = sp.csr_matrix((np.ones(len(labels)), (labels, np.arange(len(labels)))), (n_types, len(labels)))
    counts = np.asarray((members @ binary).todense()) + smoothing
    log_profile = np.log(counts / counts.sum(1, keepdims=True))
    return np.ascontiguousarray((log_profile - log_profile.mean(0)).T.astype(np.float32))
