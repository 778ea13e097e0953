"""What a base's island vectors say of a type of which few cells are known.

A base knows which islands open together: its vectors p_i put them near each other. Ten cells of 150 open islands
leave most of a type's islands unseen; through the vectors the seen ones speak for the others.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

Floats = npt.NDArray[np.float32]
ABSENT = -50.0  # score of a type that a fold's training cells lack: far below every other
_POOLED = 0.5  # pseudo-count of an island's openness over all types
_MAX_STEPS = 60


def fit_place(
    weighted: sp.csr_matrix, labels: npt.NDArray[np.integer], vectors: Floats, n_types: int
) -> tuple[Floats, Floats]:
    """Return a linear classifier of cells by the sum of their islands' vectors, (R, C) and (C,) float32.

    Linear discriminants with Ledoit and Wolf's shrinkage and equal priors, on the TF-IDF weighted sums brought
    to one scale; the scaling is folded in. A type without cells gets the score ``ABSENT`` everywhere.

    Parameters
    ----------
    weighted
        TF-IDF, cells x islands, rows of unit length.
    vectors
        (islands, R).
    """
    weights = np.zeros((vectors.shape[1], n_types), dtype=np.float32)
    bias = np.full(n_types, ABSENT, dtype=np.float32)
    present = np.unique(labels)
    if len(present) == 1:
        bias[present] = 0
        return weights, bias
    sums = np.asarray(weighted @ vectors, dtype=np.float64)
    centre, scale = sums.mean(0), sums.std(0)
    scale[scale < 1e-9] = np.inf  # a dimension in which no cell differs says nothing
    scaled = (sums - centre) / scale
    if len(labels) <= len(present):  # one cell a type: no spread to learn, the nearest cell it is
        coefficients = scaled[np.argsort(labels)]
        intercepts = -0.5 * (coefficients**2).sum(1)
    else:
        model = LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage="auto", priors=np.full(len(present), 1 / len(present))
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # types of one cell
            model.fit(scaled, labels)
        coefficients, intercepts = model.coef_, model.intercept_
        if len(present) == 2:
            coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
            intercepts = np.concatenate([-intercepts / 2, intercepts / 2])
    folded = coefficients / scale
    weights[:, present] = folded.T
    bias[present] = intercepts - folded @ centre
    return weights, bias


def prior_profiles(
    counts: npt.NDArray[np.floating], vectors: Floats, ridge: float
) -> npt.NDArray[np.float64]:
    """Return each type's expected share of open islands, (C, L), rows sum to 1.

    The type's profile is log-linear in the vectors, p(i | type) ~ o_i exp(u . p_i): o_i is the island's openness
    over all types, u is fitted to the type's counts by maximum likelihood less ``ridge`` * |u|^2. Where nothing
    is known of a type, it is the openness over all types.

    Parameters
    ----------
    counts
        (C, L), cells of the type in which the island is open.
    vectors
        (L, R); they are centred and brought to a root mean square of one here.
    """
    pooled = torch.from_numpy(np.log(counts.sum(0) + _POOLED).astype(np.float32))
    centred = vectors - vectors.mean(0)
    centred = torch.from_numpy((centred / max(float(centred.std()), 1e-9)).astype(np.float32))
    seen = torch.from_numpy(counts.astype(np.float32))
    total = seen.sum().clamp(min=1)
    towards = (seen @ centred).detach()  # the likelihood's only look at the counts
    depth = seen.sum(1, keepdim=True)
    u = torch.zeros(len(counts), vectors.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([u], max_iter=_MAX_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        log_norm = torch.logsumexp(pooled + u @ centred.T, dim=1, keepdim=True)
        value = ((depth * log_norm).sum() - (towards * u).sum() + ridge * u.square().sum()) / total
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    profiles = torch.softmax(pooled + u.detach() @ centred.T, dim=1).double()
    return np.asarray((profiles / profiles.sum(1, keepdim=True)).numpy())
