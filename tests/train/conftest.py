"""Few simulated cells and the smallest recipe, for the tests of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from anndata import AnnData

from annatac.config import Recipe
from annatac.pp.universe import Universe
from annatac.simulate import simulate_cells


@pytest.fixture(autouse=True)
def _one_thread():
    """Small tensors gain nothing from threads, and sums in another order differ in the last digit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def _simulated() -> AnnData:
    return simulate_cells(120, cell_types=3, n_islands=200, open_islands=60, donors=4, seed=1)


@pytest.fixture
def reference(_simulated: AnnData) -> AnnData:
    """120 simulated cells of 3 types and 4 donors over 200 islands."""
    return _simulated.copy()


@pytest.fixture(scope="session")
def debug() -> Callable[..., Recipe]:
    """``debug(epochs=3, wide=False, ...)``: the debug recipe with other settings, each put where it belongs."""

    def make(**changes: Any) -> Recipe:
        recipe = Recipe.load("debug")
        for name, value in changes.items():
            sections = [s for s in ("model", "pretrain", "finetune") if hasattr(getattr(recipe, s), name)]
            assert sections, name
            for section in sections:
                recipe = replace(recipe, **{section: replace(getattr(recipe, section), **{name: value})})
        return recipe

    return make


@pytest.fixture(scope="session")
def universe() -> Callable[..., Universe]:
    """``universe(starts, genome, peaks=, genes=)``: islands of 5 kb of chr1 that begin at ``starts``."""

    def make(starts: Any, genome: str = "hg19", *, peaks: Any = None, genes: Any = None) -> Universe:
        starts = np.array(starts)
        return Universe(
            names=np.array([f"chr1:{s}-{s + 5000}" for s in starts], dtype=object),
            n_peaks=np.ones(len(starts), dtype=np.int32),
            mean_openness=np.ones(len(starts), dtype=np.float32),
            chrom=np.array(["chr1"] * len(starts), dtype=object),
            start=starts,
            end=starts + 5000,
            bin_size=5000,
            genome=genome,
            peaks=None if peaks is None else np.array(peaks, dtype=object),
            genes=None if genes is None else np.array(genes, dtype=object),
        )

    return make


@pytest.fixture
def tokens(reference: AnnData):
    """The reference's tokens and labels (uint8 CSR of 120 x 200, int64)."""
    from annatac.pp import peak_islands
    from annatac.pp.tokens import openness_classes

    labels = reference.obs["cell_type"].cat.codes.to_numpy().astype(np.int64)
    return openness_classes(peak_islands(reference).X), labels
