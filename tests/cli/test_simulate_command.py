"""``annatac simulate``: what it writes, and what it refuses."""

from __future__ import annotations

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def bulk(query, tmp_path):
    """Profiles of two types over half of the query's peaks."""
    signal = np.random.default_rng(0).gamma(1.0, size=(2, query.n_vars // 2)).astype(np.float32)
    obs = pd.DataFrame({"cell_type": ["A", "B"]}, index=["1", "2"])
    adata = ad.AnnData(signal, obs=obs, var=query.var.iloc[::2][: signal.shape[1]], uns={"genome": "hg38"})
    adata.write_h5ad(tmp_path / "bulk.h5ad")
    return adata, tmp_path / "bulk.h5ad"


def test_cells_for_a_query(run, inputs, outputs, bulk):
    out = outputs / "cells.h5ad"
    done = run("simulate", bulk[1], "-o", out, "--query", inputs / "query.h5ad", "--cells-per-type", 30)
    assert done.code == 0, done.err
    assert "60 cells of 2 types" in done.out
    assert "The query seems to hold" in done.out
    cells = ad.read_h5ad(out)
    assert cells.obs["cell_type"].value_counts().to_dict() == {"A": 30, "B": 30}
    assert cells.var_names.isin(ad.read_h5ad(inputs / "query.h5ad").var_names).all()
    assert "not real" in cells.uns["simulated"]["note"]
    assert cells.X.indptr.dtype == cells.X.indices.dtype
    with h5py.File(out) as file:  # with small chunks memory grew by 4 kB a cell
        assert {file[f"X/{name}"].chunks for name in ("data", "indices", "indptr")} == {(2**17,)}
    model = outputs / "model"
    learnt = run("finetune", out, "-o", model, "--label-key", "cell_type", "--recipe", "debug", "--epochs", 1)
    assert learnt.code == 0, learnt.err
    named = run("annotate", inputs / "query.h5ad", "--model", model, "-o", outputs / "named.h5ad")
    assert named.code == 0, named.err


def test_like_peaks_and_a_table_of_numbers(run, inputs, outputs, bulk, tmp_path):
    (tmp_path / "numbers.csv").write_text("type,cells\nA,3\nB,4\n")
    bulk[0].var[["chrom", "start", "end"]].iloc[:40].to_csv(
        tmp_path / "p.bed", sep="\t", header=False, index=False
    )
    more = [
        "--like",
        inputs / "query.h5ad",
        "--peaks",
        tmp_path / "p.bed",
        "--mixture",
        tmp_path / "numbers.csv",
    ]
    assert run("simulate", bulk[1], "-o", outputs / "c.h5ad", *more).code == 0
    assert ad.read_h5ad(outputs / "c.h5ad").shape == (7, 40)


def test_what_is_refused(run, inputs, outputs, bulk, tmp_path):
    adata, path = bulk
    query = inputs / "query.h5ad"

    def refused(words, *arguments):
        done = run("simulate", *arguments, "-o", outputs / "c.h5ad")
        assert done.code == 2, done.err
        assert words in done.err.replace("\n", " ")
        assert list(outputs.iterdir()) == []

    refused(
        "neither a file or folder nor a data set of bulk profiles. Did you mean 'hema_bulk16'?", "hema_bulk"
    )
    refused("leave out --like", path, "--query", query, "--like", query)
    refused("--mixture fitted needs the cells", path, "--mixture", "fitted")
    refused("neither 'equal' nor 'fitted' nor a file", path, "--mixture", "equally")
    refused("leave out --median-open", path, "--like", query, "--median-open", 50)
    many = ["--cells-per-type", 10**9, "--median-open", 50]
    refused("2,000,000,000 cells of 53 open islands on average are more than the 2,147,483,647", path, *many)
    refused("Ask for at most 40,155,855 cells", path, *many)
    adata.obs["cell_type"] = ["A", "A"]
    adata.write_h5ad(tmp_path / "twice.h5ad")
    refused("more than one profile, first 'A'", tmp_path / "twice.h5ad")
    del adata.obs["cell_type"]
    adata.write_h5ad(tmp_path / "unnamed.h5ad")
    refused("The profiles have no names", tmp_path / "unnamed.h5ad")
    foreign = ad.read_h5ad(path)
    foreign.uns["genome"] = "hg19"
    foreign = foreign[:, foreign.var["start"] < 40_000_000].copy()  # inside the chromosomes of both
    foreign.write_h5ad(tmp_path / "foreign.h5ad")
    refused("The profiles are on hg19, the peaks on hg38", tmp_path / "foreign.h5ad", "--query", query)
