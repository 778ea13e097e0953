"""Samples as replicates of conditions: who is compared with whom, or why that cannot be."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.errors import AnnatacWarning, ConfigError, LabelError, nearest
from annatac.tl.groups import codes_of

if TYPE_CHECKING:
    from anndata import AnnData

MIN_SAMPLES = 2  # in a condition; with one there is no variance to compare with
ADVISED_SAMPLES = 3


class Samples(NamedTuple):
    """``code``: int64 (cells,), -1 where unknown; names, condition and block (or None) of each sample."""

    code: npt.NDArray[np.int64]
    names: list[str]
    condition: list[str]
    block: list[str] | None


class Design(NamedTuple):
    """``rows``: the samples used; ``matrix``: float64 (samples, coefficients), the second is the condition."""

    rows: npt.NDArray[np.int64]
    matrix: npt.NDArray[np.float64]
    conditions: tuple[str, str]
    n_samples: tuple[int, int]

    @property
    def n_smallest(self) -> int:
        """Samples of the smaller condition."""
        return min(self.n_samples)


def table_of_samples(adata: AnnData, sample_key: str, condition_key: str, block_key: str | None) -> Samples:
    """Return every sample with its one condition and its one block.

    Raises
    ------
    LabelError
        A column is missing, or a sample has cells of two conditions or blocks.
    """
    code, names = codes_of(adata, sample_key)
    condition = _one_each(adata, code, names, condition_key, sample_key)
    block = None if block_key is None else _one_each(adata, code, names, block_key, sample_key)
    return Samples(code, names, condition, block)


def _one_each(
    adata: AnnData, code: npt.NDArray[np.int64], names: list[str], key: str, sample_key: str
) -> list[str]:
    value, values = codes_of(adata, key)
    known = (code >= 0) & (value >= 0)
    pairs = pd.DataFrame({"sample": code[known], "value": value[known]}).drop_duplicates()
    twice = pairs["sample"][pairs["sample"].duplicated()]
    if len(twice):
        sample = int(twice.iloc[0])
        found = [values[i] for i in pairs["value"][pairs["sample"] == sample]]
        raise LabelError(
            f"Sample '{names[sample]}' of obs['{sample_key}'] has cells of '{found[0]}' and '{found[1]}' in "
            f"obs['{key}']; each sample must have one. A donor seen under both conditions gives two samples: "
            "name them apart, and give the donor as block_key."
        )
    of = dict(zip(pairs["sample"].tolist(), pairs["value"].tolist(), strict=True))
    return [values[of[i]] if i in of else "" for i in range(len(names))]


def design_of(
    samples: Samples,
    n_cells: npt.NDArray[np.generic],
    conditions: Sequence[str] | None,
    min_cells: int,
    *,
    what: str,
) -> Design:
    """Return the samples with enough cells and their design matrix.

    Raises
    ------
    LabelError
        Under two conditions or, without a choice, more; under two samples in one of them; blocks that
        cannot be told from the condition.
    """
    known = sorted({name for name in samples.condition if name})
    reference, other = _two(known, conditions)
    condition = np.array(samples.condition, dtype=object)
    asked = np.isin(condition, [reference, other])
    enough = asked & (np.asarray(n_cells) >= min_cells)
    if (asked & ~enough).any():
        small = [f"'{samples.names[i]}' ({int(n_cells[i])})" for i in np.flatnonzero(asked & ~enough)]
        warnings.warn(
            f"{len(small)} of {int(asked.sum())} samples have under {min_cells} cells {what} and are left out: "
            f"{', '.join(small[:5])}.",
            AnnatacWarning,
            stacklevel=3,
        )
    rows = np.flatnonzero(enough)
    is_other = (condition[rows] == other).astype(np.float64)
    n_samples = (int((is_other == 0).sum()), int(is_other.sum()))
    if min(n_samples) < MIN_SAMPLES:
        raise LabelError(
            f"'{reference}' has {n_samples[0]} and '{other}' has {n_samples[1]} samples with {min_cells} cells "
            f"{what}. At least {MIN_SAMPLES} in each condition are needed, {ADVISED_SAMPLES} or more are advised: "
            "cells of one sample are no replicates, and a difference between two samples says nothing of the "
            "conditions. Add samples, or lower min_cells if they are merely small."
        )
    if min(n_samples) < ADVISED_SAMPLES:
        warnings.warn(
            f"'{reference}' has {n_samples[0]} and '{other}' {n_samples[1]} samples: only large differences can "
            f"be found with under {ADVISED_SAMPLES} in each.",
            AnnatacWarning,
            stacklevel=3,
        )
    matrix = np.column_stack([np.ones(len(rows)), is_other])
    if samples.block is not None:
        block = np.array(samples.block, dtype=object)[rows]
        matrix = np.column_stack([matrix, *(block == name for name in sorted(set(block))[1:])]).astype(
            np.float64
        )
        if np.linalg.matrix_rank(matrix) < matrix.shape[1] or matrix.shape[1] >= len(rows):
            raise LabelError(
                f"{len(rows)} samples cannot tell {len(set(block))} blocks from the condition: every block "
                "needs samples of both conditions, or more samples. Leave block_key out, or add samples."
            )
    return Design(rows, matrix, (reference, other), n_samples)


def _two(known: list[str], conditions: Sequence[str] | None) -> tuple[str, str]:
    if conditions is None:
        if len(known) != 2:
            raise LabelError(
                f"There are {len(known)} conditions: {', '.join(known) or 'none'}. Two are compared: name the "
                "reference and the other (--compare, in Python conditions)."
            )
        return known[0], known[1]
    if isinstance(conditions, str) or len(conditions) != 2 or conditions[0] == conditions[1]:
        raise ConfigError(f"conditions is {conditions!r}; expected two different names, (reference, other).")
    for name in conditions:
        if name not in known:
            raise LabelError(f"No sample is '{name}'.{nearest(name, known)} There are: {', '.join(known)}.")
    return conditions[0], conditions[1]
