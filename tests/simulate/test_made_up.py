from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from annatac import simulate
from annatac.errors import ConfigError
from annatac.genome.assemblies import chrom_lengths


@pytest.fixture(scope="module")
def cells():
    return simulate.simulate_cells(600, n_islands=3000, open_islands=300, seed=1)


def _islands(adata):
    return adata.var["chrom"].astype(str) + ":" + (adata.var["start"] // 5000).astype(str)


def test_what_is_written(cells):
    assert sp.issparse(cells.X)
    assert cells.X.format == "csr"
    assert cells.X.dtype == np.int32
    assert cells.X.min() == 0
    assert cells.uns["genome"] == "hg38"
    assert "simulated" in cells.uns["simulated"]["note"]
    assert set(cells.obs.columns) == {"cell_type", "lineage", "donor"}
    assert all(isinstance(cells.obs[key].dtype, pd.CategoricalDtype) for key in cells.obs)
    assert cells.obs_names.is_unique
    assert cells.var_names.is_unique


def test_peaks_lie_inside_chromosomes_and_one_island_each(cells):
    lengths = cells.var["chrom"].astype(str).map(chrom_lengths("hg38"))
    assert (cells.var["end"] <= lengths).all()
    assert (cells.var["start"] // 5000 == (cells.var["end"] - 1) // 5000).all()
    assert _islands(cells).nunique() == 3000
    names = cells.var["chrom"] + ":" + cells.var["start"].astype(str) + "-" + cells.var["end"].astype(str)
    assert (cells.var_names == names).all()
    same_chrom = cells.var["chrom"].to_numpy()[1:] == cells.var["chrom"].to_numpy()[:-1]
    assert (cells.var["start"].to_numpy()[1:] >= cells.var["end"].to_numpy()[:-1])[same_chrom].all()


def test_the_median_cell_has_about_the_open_islands_asked_for(cells):
    code, _ = pd.factorize(_islands(cells))
    group = sp.csr_matrix((np.ones(len(code)), (np.arange(len(code)), code)))
    n_open = np.diff(((cells.X > 0).astype(float) @ group).tocsr().indptr)
    assert 0.85 * 300 < np.median(n_open) < 1.15 * 300
    assert n_open.min() > 0


def test_types_are_unbalanced_and_all_present_in_every_donor(cells):
    table = pd.crosstab(cells.obs["donor"], cells.obs["cell_type"])
    assert (table > 0).all().all()
    assert table.sum().max() > 3 * table.sum().min()


def test_siblings_resemble_each_other_more_than_strangers(cells):
    kinds = list(cells.obs["cell_type"].cat.categories)
    means = np.log1p(
        [np.asarray(cells.X[(cells.obs["cell_type"] == k).to_numpy()].mean(axis=0)).ravel() for k in kinds]
    )
    similarity = pd.DataFrame(np.corrcoef(means), index=kinds, columns=kinds)
    assert similarity.loc["CD4 T", "CD8 T"] > similarity.loc["CD4 T", "Monocyte"] + 0.05


def test_same_seed_same_cells_and_peaks_do_not_depend_on_their_number(cells):
    again = simulate.simulate_cells(600, n_islands=3000, open_islands=300, seed=1)
    assert (again.X != cells.X).nnz == 0
    assert (again.obs == cells.obs).all().all()
    fewer = simulate.simulate_cells(100, n_islands=3000, open_islands=300, seed=1)
    assert (fewer.var_names == cells.var_names).all()
    other = simulate.simulate_cells(100, n_islands=3000, open_islands=300, seed=2)
    assert not other.var_names.equals(cells.var_names)


def test_names_and_numbers_of_types_and_donors():
    cells = simulate.simulate_cells(
        40,
        cell_types=["L2/3", "L4", "Astro"],
        n_islands=500,
        open_islands=50,
        donors=["a", "b"],
        genome="mm10",
    )
    assert list(cells.obs["cell_type"].cat.categories) == ["L2/3", "L4", "Astro"]
    assert list(cells.obs["donor"].cat.categories) == ["a", "b"]
    assert cells.obs.groupby("cell_type", observed=True)["lineage"].first()["L4"] == "lineage 1"
    assert cells.uns["genome"] == "mm10"
    assert (
        simulate.simulate_cells(100, cell_types=22, n_islands=500, open_islands=50).obs["cell_type"].nunique()
        == 22
    )


def test_they_survive_h5ad(cells, tmp_path):
    import anndata

    cells.write_h5ad(tmp_path / "cells.h5ad")
    back = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert (back.X != cells.X).nnz == 0
    assert back.uns["simulated"]["seed"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_cells": 3}, "3 cells cannot hold 12 cell types"),
        ({"open_islands": 0}, "open_islands is 0"),
        ({"open_islands": 8000}, "expected 1 to 6400"),
        ({"n_islands": 10_000_000}, "only .* 5-kb bins"),
        ({"donors": 0}, "donors is 0"),
        ({"donors": ["a", "a"]}, "unique names"),
        ({"cell_types": ["a", "a"]}, "given more than once: a"),
        ({"cell_types": "CD4"}, "give a list of names"),
        ({"cell_types": 0}, "at least one"),
        ({"donor_effect": -1.0}, "donor_effect is -1.0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ConfigError, match=message):
        simulate.simulate_cells(**options)
