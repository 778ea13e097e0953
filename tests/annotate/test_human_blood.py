"""The ready model `human-blood`: offline, on both assemblies, without any data set at hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import annatac
from annatac import datasets, keys, tl
from annatac.errors import AnnatacWarning
from annatac.genome import island_names
from annatac.model import ready

pytestmark = pytest.mark.skipif("human-blood" not in ready.names(), reason="human-blood does not ship here")


@pytest.fixture(scope="module")
def model():
    return annatac.load("human-blood")


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.setattr(datasets, "chain_between", lambda one, other: None)


def drawn(model, genome: str) -> AnnData:
    """Return five cells a type, each open in a peak of 1,500 islands drawn by the type's profile."""
    universe, random = model.artifact.universe, np.random.default_rng(0)
    peaks = universe.member_peaks()
    middle = (peaks["start"] + peaks["end"]) // 2
    start = middle // universe.bin_size * universe.bin_size
    island = universe.index_of(island_names(peaks["chrom"], start, start + universe.bin_size))
    if genome != universe.genome:
        places = model.artifact.places[genome]
        middle = places["position"]
        peaks = pd.DataFrame({"chrom": places["chrom"], "start": middle - 250, "end": middle + 250})
    usable = (island >= 0) & (peaks["start"] >= 0).to_numpy()
    peaks, island = peaks[usable], island[usable]
    peaks, island = peaks[first := ~pd.Series(island).duplicated().to_numpy()], island[first]
    share = universe.mean_openness[island, None] * np.exp(model.trust.log_ratios[island])
    share = share / share.sum(0)
    opened = [
        random.choice(len(island), 1500, replace=False, p=share[:, k])
        for k in range(share.shape[1])
        for _ in range(5)
    ]
    shape = (len(opened), len(island))
    x = sp.csr_matrix(
        (np.ones(1500 * shape[0], np.int32), np.concatenate(opened), np.arange(shape[0] + 1) * 1500), shape
    )
    var = pd.DataFrame(index=island_names(peaks["chrom"], peaks["start"], peaks["end"]))
    obs = pd.DataFrame({"type": np.repeat(model.classes, 5)}, index=[f"cell{i}" for i in range(shape[0])])
    return AnnData(x, obs=obs, var=var, uns={keys.GENOME: genome})


def test_what_it_says_of_itself(model):
    its = ready.facts("human-blood")
    assert its["kind"] == "annotator"
    assert its["genomes"] == ["hg19", "hg38"]
    assert its["types"] == model.classes
    assert {"B", "CD4 T", "CD8 T", "NK", "Monocyte", "HSC", "Erythroid"} <= set(its["types"])
    assert its["bytes"] < 15e6
    for said in ("simulated", "hg38", "Licen", "fails"):
        assert said in its["card"]


def test_it_names_cells_of_both_assemblies(model):
    here, there = drawn(model, "hg19"), drawn(model, "hg38")
    tl.annotate(here, model)
    with pytest.warns(AnnatacWarning, match="by the model's own places"):
        tl.annotate(there, model)
    for cells in (here, there):
        best = np.array(model.classes)[cells.obsm[keys.PROBABILITIES].argmax(1)]
        assert (best == cells.obs["type"]).mean() > 0.8


@pytest.mark.dataset("buenrostro2018_bm0828")
def test_real_cells(dataset, model):
    cells = dataset("buenrostro2018_bm0828")[::4].copy()
    tl.annotate(cells, model)
    best = np.array(model.classes)[cells.obsm[keys.PROBABILITIES].argmax(1)]
    lymphoid = (cells.obs["cell_type"] == "CLP").to_numpy()
    assert (best[lymphoid] == "CLP").mean() > 0.6
    stem = cells.obs["cell_type"].isin(["HSC", "MPP"]).to_numpy()
    assert np.isin(best[stem], ["HSC", "MPP"]).mean() > 0.8
