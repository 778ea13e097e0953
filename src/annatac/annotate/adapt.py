"""Adapting to a query: its own cells show, without labels, how the types' profiles look there.

Each type's profile takes the query's cells in, each by its probability of being of the type, beside the
reference's; the network, the linear half of the wide path and what was learnt about trust stay as they are. The query
is parted in two, and each half is named with the help of the other: a cell that took part in its own profile
would only hear its own call again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from scipy.special import logsumexp

from annatac import keys
from annatac.annotate.annotator import Annotator, Predictions
from annatac.annotate.calls import CallSettings, make_calls
from annatac.annotate.query import QueryTokens
from annatac.model.artifact import PROFILES
from annatac.pp.counts import opened
from annatac.train.distributed import share, sum_over

Floats = npt.NDArray[np.float32]

MIN_CELLS = 500  # under them a query's cells teach less than they may mislead
MAX_CELLS = 5_000  # cells that the profiles learn from; the others are named with their help
TOLERANCE = 0.05  # mean log-probability that may be lost of what the linear half says
_PRIOR_COUNT = 20.0  # counts of an island by which query and reference are held to agree
_STRETCH = 100  # neighbouring cells that are read together where not all are


@dataclass(frozen=True)
class Adaptation:
    """What a query's cells changed.

    Attributes
    ----------
    shifts
        float32 (2, L, C), by how much the types' log profiles move for cells of even and of odd row number, each from
        cells of the other; None where the query was found unfit.
    record
        Plain values for ``uns['annatac']['adaptation']``: ``used``, ``why_not``, ``n_cells`` that took part,
        ``agreement`` gained with the linear half, in mean log-probability.
    """

    shifts: Floats | None
    record: dict[str, Any] = field(default_factory=dict)

    def logits(
        self, annotator: Annotator, tokens: sp.csr_matrix, predicted: Predictions, first: int
    ) -> Floats:
        """Return the network's logits with the profiles of the query, float32 (n, C).

        Parameters
        ----------
        tokens, predicted
            CSR (n, L), of consecutive cells of the query, and what :meth:`Annotator.predict` says of them.
        first
            Row of the first of them in the query.
        """
        if self.shifts is None:
            return predicted.logits
        wide = annotator.artifact.network.wide
        assert wide is not None, "settings.for_model has seen to it"
        n_open = np.maximum(predicted.n_open, 1)
        with torch.inference_mode():
            device = wide.offset.device
            trust = wide.trust(torch.from_numpy(n_open).float().to(device))[:, 1].cpu().numpy()
        change = _by_half(opened(tokens), self.shifts, first) * (trust / np.sqrt(n_open))[:, None]
        return np.asarray(predicted.logits + change, dtype=np.float32)


def adapt(
    annotator: Annotator,
    query: QueryTokens,
    settings: CallSettings,
    *,
    device: str = "auto",
    precision: str = "float32",
) -> Adaptation:
    """Return what at most 5,000 cells of a query, evenly spread over it, change about the types' profiles.

    A cell counts for each type by its calibrated probability, from the model as it is; cells that are called novel,
    or are of low quality, do not count. Nothing changes where fewer than 500 cells are left, or where the profiles
    drift away from the linear half of the wide path, to which nothing is adapted: where the type that it names, each
    type counting the same, loses more than 0.05 of its mean log-probability by the profiles alone. Profiles that a
    foreign study drew to one type do that.

    Several processes share the cells.

    Notes
    -----
    One step of expectation maximisation for a multinomial mixture (Nigam et al., Machine Learning 2000), with two
    halves. More steps gained nothing on splits inside the training data, and without the halves rare types lost.
    """
    spread = stretches(query.n_cells)
    known, weights, starts = [], [], []
    for first, last in spread[share(len(spread))]:
        tokens = query.tokens(first, last)
        calls = make_calls(
            annotator, tokens, annotator.predict(tokens, device=device, precision=precision), settings
        )
        is_fit = ~calls.obs[keys.IS_NOVEL].to_numpy() & (calls.obs[keys.REASON] != "low_quality").to_numpy()
        known.append(opened(tokens))
        weights.append(calls.obsm[keys.PROBABILITIES] * is_fit[:, None])
        starts.append(first)
    n_types, n_islands = len(annotator.classes), len(annotator.artifact.universe)
    sums = np.zeros((2, n_islands, n_types))
    for x, weight, first in zip(known, weights, starts, strict=True):
        for half in (0, 1):
            own = slice((half - first) % 2, None, 2)
            sums[half] += x[own].T @ weight[own]
    sum_over(torch.from_numpy(sums))
    per_type = sum_over(torch.from_numpy(np.sum([w.sum(0) for w in weights], axis=0) + np.zeros(n_types)))
    n_cells = round(float(per_type.sum()))
    if n_cells < MIN_CELLS:
        why = f"{n_cells:,} cells of known types, {MIN_CELLS:,} are needed"
        return Adaptation(None, {"used": False, "why_not": why, "n_cells": n_cells})

    from annatac.train.wide import centred_log_profiles  # scikit-learn, for who adapts alone

    before, after = _profiles(annotator, sums)
    table = centred_log_profiles(before)
    shifts = np.stack([centred_log_profiles(p) - table for p in after])
    told = np.zeros((n_types, 2))
    for x, weight, first in zip(known, weights, starts, strict=True):
        took_part = weight.any(1)
        change, called = _agreement(annotator, x, table, shifts, first)
        told[:, 0] += np.bincount(called[took_part], change[took_part], minlength=n_types)
        told[:, 1] += np.bincount(called[took_part], minlength=n_types)
    summed, n_called = sum_over(torch.from_numpy(told)).numpy().T
    agreement = float((summed[n_called > 0] / n_called[n_called > 0]).mean())
    used = agreement > -TOLERANCE
    record: dict[str, Any] = {"used": used, "n_cells": n_cells, "agreement": agreement}
    if not used:
        record["why_not"] = "the types' profiles would drift away from what the linear half of the model says"
    return Adaptation(shifts if used else None, record)


def _agreement(
    annotator: Annotator, x: sp.csr_matrix, table: Floats, shifts: Floats, first: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return how much likelier the type that the linear half names is by the shifted profiles alone, and this type.

    (n,) each: the change of its log-probability by the profiles' scores and the types' offsets.
    """
    wide = annotator.artifact.network.wide
    assert wide is not None
    n_open = np.maximum(np.diff(x.indptr), 1)
    with torch.inference_mode():
        n_open_B = torch.from_numpy(n_open).float().to(wide.offset.device)
        trust = wide.trust(n_open_B)[:, 1].cpu().numpy()
        constants = wide.constants(n_open_B, wide.bias), wide.offsets(n_open_B)
        linear, idf, bias, offset = (t.cpu().numpy() for t in (wide.linear, wide.idf, *constants))
    weighted = sp.csr_matrix(x @ sp.diags(idf))
    length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)))
    called = (weighted @ linear / np.maximum(length, 1e-6) + bias).argmax(1)
    scale = (trust / np.sqrt(n_open))[:, None]
    plain, moved = (x @ table) * scale + offset, _by_half(x, shifts, first) * scale
    rows = np.arange(len(called))
    told = [logits[rows, called] - logsumexp(logits, axis=1) for logits in (plain, plain + moved)]
    return told[1] - told[0], called


def stretches(n_cells: int) -> list[tuple[int, int]]:
    """Return first and last + 1 of the rows to read: all, or at most 5,000 in stretches of 100, evenly spread."""
    if n_cells <= MAX_CELLS:
        return [(first, min(first + 10 * _STRETCH, n_cells)) for first in range(0, n_cells, 10 * _STRETCH)]
    starts = np.linspace(0, n_cells - _STRETCH, MAX_CELLS // _STRETCH).astype(int).tolist()
    return [(first, first + _STRETCH) for first in starts]


def _profiles(
    annotator: Annotator, sums: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the types' profiles (C, L) of the reference, and (2, C, L) for either half with the other taken in."""
    from annatac.train.wide import ProfilePrior, with_prior

    artifact = annotator.artifact
    config, network = artifact.recipe.finetune, artifact.network
    prior = ProfilePrior(
        config.wide_smoothing, config.wide_background, config.prior_strength, config.prior_ridge
    )
    vectors = None
    if network.wide is not None and network.wide.n_scores == 3:
        vectors = network.encoder.table.vectors.detach().cpu().numpy()
    of_type = artifact.reference["n_cells"].numpy()
    counts = np.maximum(artifact.reference[PROFILES].numpy(), 0).astype(np.float64) * of_type[:, None]

    def profiles(counts: npt.NDArray[np.float64], n_cells: float) -> npt.NDArray[np.float64]:
        held = with_prior(counts, n_cells, prior, vectors)
        return np.asarray(held / held.sum(1, keepdims=True))

    before = profiles(counts, float(of_type.sum()))
    # the mean depth that the prior goes by stays the reference's
    n_open = counts.sum() / max(of_type.sum(), 1)
    taken_in = [counts + without_study(sums[1 - half].T, before) for half in (0, 1)]
    after = np.stack([profiles(both, both.sum() / max(n_open, 1e-9)) for both in taken_in])
    return before, after


def without_study(seen: npt.NDArray[np.float64], before: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the counts (C, L) of a query, each island weighed so that all types together look like the reference.

    What sets the whole query apart from the reference, an assay or a caller of peaks, says nothing about types. Were it
    learnt, the types of which the query has many cells would look like the query, and draw all others to them.

    Parameters
    ----------
    seen
        (C, L), open islands by type.
    before
        (C, L), the reference's profiles, rows sum to 1.
    """
    expected = seen.sum(1) @ before
    return np.asarray(seen * (expected + _PRIOR_COUNT) / (seen.sum(0) + _PRIOR_COUNT))


def _by_half(x: sp.csr_matrix, tables: npt.NDArray[Any], first: int) -> npt.NDArray[np.float64]:
    """Return (n, C): each cell's sum over its open islands in the table (2, L, C) of its half."""
    sums = np.empty((x.shape[0], tables.shape[2]))
    for half in (0, 1):
        own = slice((half - first) % 2, None, 2)
        sums[own] = x[own] @ tables[half]
    return sums
