"""``qc``, ``tracks`` and ``footprints`` on real fragments."""

from __future__ import annotations

import anndata as ad
import pandas as pd
import pytest

from annatac import keys

pytestmark = pytest.mark.dataset("pbsmall_fragments", "hg19_genes")


@pytest.fixture(scope="session")
def cells(tmp_path_factory, dataset):
    adata = dataset("pbsmall_fragments")
    adata.obs[keys.LABEL] = [f"{name[0]}/x" for name in adata.obs_names]
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    adata.write_h5ad(path)
    return path


def test_qc(run, cells, outputs, dataset_path):
    fragments, genes = dataset_path("pbsmall_fragments"), dataset_path("hg19_genes")
    arguments = ("-o", outputs / "qc.h5ad", "--gtf", genes, "--tss-plot", outputs / "tss.png")
    done = run("qc", cells, "--fragments", fragments, *arguments, "--sizes-plot", outputs / "sizes.png")
    assert done.code == 0, done.err
    assert "29,399 of 29,399 fragments (100.0%)" in done.out
    assert "B/x" in done.out
    written = ad.read_h5ad(outputs / "qc.h5ad")
    assert written.obs[keys.N_FRAGMENTS].sum() == 29_399
    assert keys.TSS_ENRICHMENT in written.obs
    assert keys.FRAGMENT_QC in written.uns
    assert (outputs / "tss.png").stat().st_size > 5_000
    done = run(
        "qc", cells, "--fragments", fragments, "-o", outputs / "x.h5ad", "--tss-plot", outputs / "y.png"
    )
    assert done.code == 2
    assert "--gtf" in done.err


def test_tracks(run, cells, outputs, dataset_path):
    pytest.importorskip("matplotlib")
    common = ("tracks", cells, "--fragments", dataset_path("pbsmall_fragments"))
    genes = ("--gtf", dataset_path("hg19_genes"))
    done = run(
        *common, *genes, "--region", "MS4A1", "-o", outputs / "ms4a1.png", "--table", outputs / "t.csv"
    )
    assert done.code == 0, done.err
    assert {"chrom", "B/x"} <= set(pd.read_csv(outputs / "t.csv").columns)
    done = run(*common, "--bedgraph", outputs / "tracks", "--bin-size", 500)
    assert done.code == 0, done.err
    assert (outputs / "tracks" / "B_x.bedgraph.gz").is_file()
    assert run(*common, "--bedgraph", outputs / "tracks").code == 2  # it exists
    done = run(*common, *genes, "--region", "MS4A1X", "-o", outputs / "no.png")
    assert (done.code, "Did you mean 'MS4A1" in done.err) == (2, True)
    done = run(*common)
    assert (done.code, "Name a region" in done.err) == (2, True)
    done = run("tracks", cells, "--fragments", outputs / "none.tsv.gz", "--region", "chr5:1-9", "-o", "x.png")
    assert (done.code, "does not exist" in done.err) == (2, True)


def test_footprints(run, cells, outputs, dataset_path, tmp_path):
    genes = pd.read_csv(dataset_path("hg19_genes"), sep="\t", header=None)
    sites = genes[genes[0].isin(["chr5", "chr11"])]
    bed = pd.DataFrame({0: sites[0], 1: sites[1], 2: sites[1] + 10, 3: "s", 4: 0, 5: sites[4]})
    bed.to_csv(tmp_path / "s.bed", sep="\t", header=False, index=False)
    arguments = ("--sites", f"A/B={tmp_path / 's.bed'}", "--sites", f"C={tmp_path / 's.bed'}")
    outs = ("-o", outputs / "d.csv", "--profiles", outputs / "p.csv", "--plot", outputs / "f.png")
    fragments = dataset_path("pbsmall_fragments")
    done = run("footprints", cells, "--fragments", fragments, *arguments, *outs)
    assert done.code == 0, done.err
    assert "Without a FASTA the footprints are not corrected" in done.err
    table = pd.read_csv(outputs / "d.csv")
    assert table["motif"].tolist() == ["A/B"] * 3 + ["C"] * 3
    assert len(pd.read_csv(outputs / "p.csv")) == 6 * 501
    assert {path.name for path in outputs.iterdir()} == {"d.csv", "p.csv", "f_A_B.png", "f_C.png"}
