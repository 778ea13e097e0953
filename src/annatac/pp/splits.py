"""Splits into training and held-out cells: stratified by type, or by whole donors or batches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.errors import ConfigError, LabelError

Rows = npt.NDArray[np.int64]
_MAX_ENUMERATED = 12  # groups of which every combination is tried
_N_RANDOM = 4096  # combinations tried where there are more groups


def stratified_split(labels: npt.ArrayLike, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Return the rows to train on and the rows held out, each type split alike.

    Parameters
    ----------
    labels
        n labels.
    fraction
        Share to hold out of each type, over 0 and under 1. A type of two cells or more has at least one on
        either side; the only cell of a type stays in training.
    seed
        The same seed gives the same split.

    Returns
    -------
    Two sorted int64 arrays, together 0..n-1.

    Raises
    ------
    ConfigError
        ``fraction`` is out of range.
    LabelError
        No type has two cells.
    """
    _check_fraction(fraction)
    codes, classes = pd.factorize(np.asarray(labels), sort=True)
    random = np.random.default_rng([seed, 0x5711])
    held = np.zeros(len(codes), dtype=bool)
    for k in range(len(classes)):
        rows = np.flatnonzero(codes == k)
        if len(rows) > 1:
            n_held = int(np.clip(round(fraction * len(rows)), 1, len(rows) - 1))
            held[random.permutation(rows)[:n_held]] = True
    if not held.any():
        raise LabelError(
            f"Nothing can be held out: none of the {len(classes)} types has two cells. Give more labelled "
            "cells."
        )
    return np.flatnonzero(~held), np.flatnonzero(held)


def group_split(
    labels: npt.ArrayLike, groups: npt.ArrayLike, fraction: float, seed: int
) -> tuple[Rows, Rows]:
    """Return the rows to train on and the rows held out, every donor (or batch) whole on one side.

    Of the combinations of groups the one is taken that keeps every type in training where that can be, comes
    near to ``fraction`` of the cells and holds out most types; ties are broken by the seed.

    Parameters
    ----------
    labels, groups
        n labels and n donors or batches.
    fraction
        Share of the cells to hold out, over 0 and under 1.
    seed
        The same seed gives the same split.

    Returns
    -------
    Two sorted int64 arrays, together 0..n-1.

    Raises
    ------
    ConfigError
        ``fraction`` is out of range.
    LabelError
        There are fewer than two groups.
    """
    _check_fraction(fraction)
    codes, classes = pd.factorize(np.asarray(labels), sort=True)
    group, names = pd.factorize(np.asarray(groups), sort=True)
    n_groups = len(names)
    if (group < 0).any():
        raise LabelError(
            f"{int((group < 0).sum())} cells have no batch. Fill the column, or split without it."
        )
    if n_groups < 2:
        raise LabelError(
            f"A split by batch needs two batches or more, found {n_groups}. Leave the batch key away: types "
            "are then split at random."
        )
    n_cells = np.zeros((n_groups, len(classes)))
    np.add.at(n_cells, (group, codes), 1)
    chosen = _combinations(n_groups, np.random.default_rng([seed, 0x6720]))
    held_cells = chosen @ n_cells
    all_cells = n_cells.sum(0)
    n_lost = ((all_cells - held_cells == 0) & (all_cells > 0)).sum(1)
    share_unjudged = (held_cells == 0).mean(1)
    share_held = held_cells.sum(1) / all_cells.sum()
    # twice the fraction wanted weighs as much as all types left unjudged; a type lost outweighs both
    cost = 10.0 * n_lost + np.abs(share_held - fraction) / fraction + share_unjudged
    best = int(np.argmin(cost.round(6)))
    held = chosen[best][group].astype(bool)
    return np.flatnonzero(~held), np.flatnonzero(held)


def _combinations(n_groups: int, random: np.random.Generator) -> npt.NDArray[np.int8]:
    """Return different choices of groups to hold out (choices x groups, 0/1), in random order."""
    if n_groups <= _MAX_ENUMERATED:
        numbers = np.arange(1, 2**n_groups - 1)
        chosen = (numbers[:, None] >> np.arange(n_groups)) & 1
    else:
        order = random.random((_N_RANDOM, n_groups)).argsort(1)
        n_held = random.integers(1, n_groups, (_N_RANDOM, 1))
        chosen = np.unique(order < n_held, axis=0)
    return random.permutation(chosen.astype(np.int8))


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise ConfigError(f"The held-out fraction is {fraction}; expected a number over 0 and under 1.")
