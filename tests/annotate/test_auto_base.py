"""Which ready base `--base auto` takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from annatac import datasets, keys
from annatac.annotate.auto_base import base_for
from annatac.annotate.lifting import Lifting
from annatac.config import Recipe
from annatac.model import artifact, ready

pytestmark = pytest.mark.skipif("human-base" not in ready.names(), reason="human-base does not ship here")


@pytest.fixture(autouse=True)
def no_chain_at_hand(monkeypatch):
    monkeypatch.setattr(datasets, "chain_between", lambda one, other: None)


@pytest.fixture(scope="module")
def base():
    return artifact.load(ready.find("human-base"))


@pytest.fixture
def cells(base, monkeypatch) -> AnnData:
    """Three cells, open in the middle of 20 islands of the base."""
    monkeypatch.setattr(artifact, "load", lambda path: base)
    universe = base.universe.take(np.arange(0, 2000, 100))
    names = [f"{c}:{s + 2000}-{s + 2500}" for c, s in zip(universe.chrom, universe.start, strict=True)]
    x = sp.csr_matrix(np.ones((3, 20), dtype=np.int32))
    return AnnData(
        x, obs=pd.DataFrame(index=list("abc")), var=pd.DataFrame(index=names), uns={keys.GENOME: "GRCh37"}
    )


def chosen(cells: AnnData, recipe: str = "default") -> str | None:
    return base_for(cells, Recipe.load(recipe), Lifting())[0]


def test_a_reference_on_the_assembly_gets_the_base(cells, base):
    assert base_for(cells, Recipe.load("default"), Lifting()) == ("human-base", base)


def test_another_assembly_by_the_places_of_the_base(cells, base):
    there = base.places["hg38"].iloc[np.arange(0, 2000, 100)]
    cells.var_names = [
        f"{c}:{p - 250}-{p + 250}" for c, p in zip(there["chrom"], there["position"], strict=True)
    ]
    cells.uns[keys.GENOME] = "hg38"
    assert chosen(cells) == "human-base"


def test_another_assembly_without_a_way_gets_none(cells, base, monkeypatch):
    cells.uns[keys.GENOME] = "mm10"
    assert chosen(cells) is None
    del cells.uns[keys.GENOME]
    assert chosen(cells) is None
    cells.uns[keys.GENOME] = "hg38"
    monkeypatch.setattr(artifact, "load", lambda path: replace(base, places={}))
    assert chosen(cells) is None


def test_too_few_known_islands_get_none(cells):
    cells.X[1:, 4:] = 0  # the median cell keeps four
    cells.X.eliminate_zeros()
    assert chosen(cells) is None


def test_a_recipe_with_another_encoder_gets_none(cells):
    assert chosen(cells, "paper") is None


def test_features_without_coordinates_get_none(cells):
    cells.var_names = [f"feature{i}" for i in range(20)]
    assert chosen(cells) is None
