"""``annatac pseudobulk``: what the folder holds, held against the counts and fragments it was made of."""

from __future__ import annotations

import gzip

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp


@pytest.fixture
def cells(tmp_path):
    """26 cells of two types in two samples, and one fragment for each of their counts; 2 cells of ``B/1`` in s2."""
    random = np.random.default_rng(0)
    labels, samples = ["B/1"] * 12 + ["T"] * 14, ["s1"] * 10 + ["s2"] * 2 + ["s1"] * 7 + ["s2"] * 7
    counts = random.poisson(0.6, (26, 20))
    names = [f"{sample}:C{i}-1" for i, sample in enumerate(samples)]
    obs = pd.DataFrame({"annatac_label": labels, "sample": samples}, index=names)
    var = pd.DataFrame(index=[f"chr1:{500 * i}-{500 * i + 300}" for i in range(20)])
    adata = ad.AnnData(sp.csr_matrix(counts), obs=obs, var=var, uns={"genome": "hg38"})
    adata.write_h5ad(tmp_path / "cells.h5ad")
    for sample in ("s1", "s2"):
        rows = [
            (500 * peak + 10 * k, names[cell].split(":")[1])
            for cell, peak in zip(*np.nonzero(counts), strict=True)
            for k in range(counts[cell, peak])
            if samples[cell] == sample
        ]
        text = "".join(f"chr1\t{a}\t{a + 50}\t{name}\t1\n" for a, name in sorted(rows))
        (tmp_path / f"{sample}.tsv.gz").write_bytes(gzip.compress(text.encode()))
    return adata, tmp_path


def test_by_type_and_sample(run, cells, outputs):
    adata, folder = cells
    fragments = [word for s in ("s1", "s2") for word in ("--fragments", f"{s}={folder / s}.tsv.gz")]
    done = run(
        "pseudobulk", folder / "cells.h5ad", "-o", outputs / "bulk", "--sample-key", "sample", "--min-cells", 5,
        "--bedgraph", "--bin-size", 500, *fragments,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "1 of 4 groups of a type and sample have under 5 cells and are left out" in done.err
    table = pd.read_csv(outputs / "bulk" / "groups.csv", index_col="group")
    assert table.index.tolist() == ["s1:B/1", "s1:T", "s2:T"]
    bulks = ad.read_h5ad(outputs / "bulk" / "counts.h5ad")
    for name, row in table.iterrows():
        mine = (
            (adata.obs["sample"] == row["sample"]) & (adata.obs["annatac_label"] == row["cell_type"])
        ).to_numpy()
        x = adata.X[mine].toarray()
        assert np.array_equal(bulks[name].X.ravel(), x.sum(axis=0))
        assert (row["n_cells"], row["n_counts"]) == (mine.sum(), x.sum())
        bed = pd.read_csv(outputs / "bulk" / row["bed"], sep="\t", header=None)
        assert bed[1].tolist() == (500 * np.flatnonzero(x.any(axis=0))).tolist()
        assert len(bed) == row["n_open_peaks"]
        with gzip.open(outputs / "bulk" / row["track"], "rt") as lines:
            track = pd.read_csv(lines, sep="\t", header=None)
        # one fragment a count, two insertions each, in the bin of the peak; per million of the group's
        assert (track[3] * (track[2] - track[1]) / 500).sum() == pytest.approx(1e6, rel=1e-4)


def test_by_type(run, cells, outputs):
    adata, folder = cells
    done = run("pseudobulk", folder / "cells.h5ad", "-o", outputs / "bulk")
    assert done.code == 0, done.err
    assert {path.name for path in (outputs / "bulk").iterdir()} == {"counts.h5ad", "groups.csv", "peaks"}
    assert {path.name for path in (outputs / "bulk" / "peaks").iterdir()} == {"B_1.bed", "T.bed"}
    bulks = ad.read_h5ad(outputs / "bulk" / "counts.h5ad")
    assert bulks.uns["genome"] == "hg38"
    assert bulks.X.sum() == adata.X.sum()
