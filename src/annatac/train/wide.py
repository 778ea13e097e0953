"""Fitting the wide path: a linear model and type profiles, cross-fitted for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.utils import check_random_state
from torch import Tensor, nn

from annatac.corpus.batches import collate, in_order_of_depth
from annatac.model.tokens import TokenBatch
from annatac.model.wide import WidePath, place_scores, relative_depth, wide_scores
from annatac.pp.counts import open_counts
from annatac.train.distributed import from_first
from annatac.train.island_prior import fit_place, prior_profiles
from annatac.train.positions import inverse_document_frequency, tf_idf

_EMPTY = 0.05  # pseudo-count of an island in the mean profile
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
    typical_open
        float32 (1,), geometric mean of the cells' open islands.
    place, place_bias, vectors
        With a base: float32 (folds + 1, R, C) and (folds + 1, C), and the island vectors (L, R).
    """

    linear: Tensor
    profile: Tensor
    bias: Tensor
    idf: Tensor
    fold: npt.NDArray[np.int64]
    typical_open: Tensor
    place: Tensor | None = None
    place_bias: Tensor | None = None
    vectors: Tensor | None = None

    @property
    def n_scores(self) -> int:
        return 2 if self.place is None else 3

    def scores(self, batch: TokenBatch, rows: npt.NDArray[np.int64]) -> Tensor:
        """Return (S, B, C), S = 2, or 3 with a base: training cells' scores by tables that have not seen them."""
        fold = torch.from_numpy(self.fold[rows])
        offset = fold * len(self.idf)
        depth_B1 = relative_depth(batch.n_open_B, self.typical_open)[:, None]
        bias_BC = self.bias[fold] * depth_B1
        scores = wide_scores(batch, self.linear, self.profile, self.idf, bias_BC, offset)
        if self.place is None or self.place_bias is None or self.vectors is None:
            return scores
        vectors_BNR = self.vectors[batch.islands_BN]
        bias_BC = self.place_bias[fold] * depth_B1
        place = place_scores(batch, vectors_BNR, self.idf, self.place[fold], bias_BC)
        return torch.cat([scores, place[None]])

    def scores_of(self, tokens: sp.csr_matrix, rows: npt.NDArray[np.int64]) -> Tensor:
        """Return the scores of many cells of the reference, (S, n, C), in the order of ``rows``."""
        found = torch.zeros(self.n_scores, len(rows), self.bias.shape[1])
        for chosen in in_order_of_depth(np.diff(tokens.indptr)[rows], batch_size=256):
            found[:, chosen] = self.scores(collate(tokens, rows[chosen]), rows[chosen])
        return found

    def install(self, path: WidePath) -> None:
        """Copy the tables fitted on all cells into the network."""
        n_islands = len(self.idf)
        path.linear.copy_(self.linear[-n_islands:])
        path.profile.copy_(self.profile[-n_islands:])
        path.bias.copy_(self.bias[-1])
        path.idf.copy_(self.idf)
        path.typical_open = self.typical_open.clone().to(path.idf)
        if self.place is not None and self.place_bias is not None:
            path.place.copy_(self.place[-1])
            path.place_bias.copy_(self.place_bias[-1])


class ProfilePrior(NamedTuple):
    """What a type's profile holds beside its own cells (see :func:`with_prior`)."""

    smoothing: float
    background: float = 0.0
    strength: float = 0.0
    ridge: float = 1.0


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
    vectors: npt.NDArray[np.float32] | None = None,
    background: float = 0.0,
    prior_strength: float = 0.0,
    prior_ridge: float = 1.0,
    fold: npt.NDArray[np.int64] | None = None,
) -> WideTables:
    """Fit the wide path on all cells and on all but each fold.

    The linear part is a class-balanced L2 logistic regression on TF-IDF; a type's profile is
    log(cells with the island open + smoothing), normalised over islands and centred over types
    (multinomial naive Bayes without a prior), with what :func:`with_prior` adds. Folds are whole ``groups``
    (donors, batches) where there are two or more, stratified by type else; or as ``fold`` has them.
    With the ``vectors`` (L, R) of a base there is a third score, :func:`annatac.train.island_prior.fit_place`.
    Of several processes one fits.
    """
    prior = ProfilePrior(smoothing, background, prior_strength, prior_ridge)

    def fit() -> dict[str, Tensor]:
        idf = inverse_document_frequency(tokens)
        weighted = tf_idf(tokens, idf)
        left_out = _folds(labels, n_folds, seed, groups) if fold is None else fold
        tables, places = [], []
        for k in [*range(left_out.max() + 1), -1]:
            rows = np.flatnonzero(left_out != k)
            linear, bias = fit_linear(weighted[rows], labels[rows], n_types, c, seed)
            counts = open_counts(tokens[rows], labels[rows], n_types)
            if vectors is not None:
                places.append(fit_place(weighted[rows], labels[rows], vectors, n_types))
            held = with_prior(counts, len(rows), prior, vectors)
            tables.append((linear, bias, centred_log_profiles(held)))
        found = {
            "linear": torch.from_numpy(np.concatenate([table[0] for table in tables])),
            "bias": torch.from_numpy(np.stack([table[1] for table in tables])),
            "profile": torch.from_numpy(np.concatenate([table[2] for table in tables])),
            "idf": torch.from_numpy(idf),
            "fold": torch.from_numpy(left_out),
            "typical_open": torch.tensor([geometric_mean(np.diff(tokens.indptr))], dtype=torch.float32),
        }
        if vectors is not None:
            found["place"] = torch.from_numpy(np.stack([weights for weights, _ in places]))
            found["place_bias"] = torch.from_numpy(np.stack([bias for _, bias in places]))
            found["vectors"] = torch.from_numpy(vectors)
        return found

    tables = from_first(fit)
    return WideTables(fold=tables.pop("fold").numpy(), **tables)


def geometric_mean(n_open: npt.NDArray[np.integer]) -> float:
    """Return the geometric mean of the cells' open islands, one at the least counted for each."""
    return float(np.exp(np.log(np.maximum(n_open, 1)).mean()))


def start_gate(path: WidePath, scores: Tensor, targets: Tensor, depth: Tensor, class_weights: Tensor) -> None:
    """Set the prior, and the gate to the constant trust, and the offset, that explain the cross-fitted scores best.

    ``scores`` (S, n, C), ``targets`` (n,) and ``depth`` (n,), relative to a typical cell's, are of the training cells.
    From here the gate learns how trust depends on depth; without it a small reference ends before the wide path has
    found its scale. The prior is that of the weighted cells; a type without a cell has the share of one.
    """
    n_types = scores.shape[2]
    weight = torch.bincount(targets, weights=class_weights[targets], minlength=n_types)
    prior = torch.log(weight.clamp(min=1) / weight.sum().clamp(min=1)).float()
    trust = torch.zeros(len(scores), requires_grad=True)
    offset = torch.zeros(n_types, requires_grad=True)
    optimizer = torch.optim.LBFGS([trust, offset], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = started_logits(scores, trust, offset, prior, depth)
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
        path.prior = prior.to(path.offset)


def started_logits(scores: Tensor, trust: Tensor, offset: Tensor, prior: Tensor, depth: Tensor) -> Tensor:
    """Return logits (n, C) of a wide path that trusts its scores (S, n, C) alike at any depth, softplus(``trust``)."""
    weighted = torch.tensordot(nn.functional.softplus(trust), scores, 1)
    return weighted + prior + depth[:, None] * (offset - prior)


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


def fit_linear(
    weighted: sp.csr_matrix, labels: npt.NDArray[np.integer], n_types: int, c: float, seed: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return weights (L, C) and intercepts (C,) of class-balanced logistic regression on TF-IDF (n, L)."""
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


def _mean_profile(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean of the types' profiles, (L,), each type counting the same; it sums to 1."""
    smooth = counts + _EMPTY
    return np.asarray((smooth / smooth.sum(1, keepdims=True)).mean(0))


def with_prior(
    counts: npt.NDArray[np.float64],
    n_cells: float,
    prior: ProfilePrior,
    vectors: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float64]:
    """Return what the types' profiles hold, (C, L): their cells' counts and what is added to them.

    Parameters
    ----------
    counts
        (C, L), cells of the type in which the island is open.
    n_cells
        Cells that were counted.
    prior
        What is added to each type's counts: everywhere the same, and ``background`` cells of the mean of all
        types' profiles: what few cells say of an island differs from the mean only as far as there are enough of
        them. With the ``vectors`` (L, R) of a base, ``strength`` open islands of the profile that they suggest
        (:func:`annatac.train.island_prior.prior_profiles`) take the background's place.
    """
    if vectors is None:
        added = prior.background * counts.sum() / max(n_cells, 1) * _mean_profile(counts)
    else:
        added = prior.strength * prior_profiles(counts, vectors, prior.ridge)
    return np.asarray(counts + prior.smoothing + added)


def centred_log_profiles(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the types' log profiles (L, C), centred over types, of counts (C, L) that are nowhere 0."""
    log_profile = np.log(counts / counts.sum(1, keepdims=True))
    return np.ascontiguousarray((log_profile - log_profile.mean(0)).T.astype(np.float32))
