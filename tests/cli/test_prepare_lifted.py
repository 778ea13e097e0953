"""``annatac prepare --lift-to``: peaks and fragments of another assembly become islands of this one, or are refused."""

from __future__ import annotations

import gzip

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from annatac import datasets, keys
from annatac.genome import island_names
from annatac.genome.assemblies import chrom_lengths
from annatac.pp import peak_islands

SHIFT = 1234  # hg19 position = hg38 position + SHIFT, in these tests


@pytest.fixture
def chain(tmp_path, monkeypatch):
    """A chain file from hg19 to hg38 in which every chromosome is shifted; none other is at hand."""
    monkeypatch.setattr(datasets, "chain_between", lambda one, other: None)
    old, new = chrom_lengths("hg19"), chrom_lengths("hg38")
    text = ""
    for i, name in enumerate(chrom for chrom in old if chrom in new and chrom != "chrM"):
        size = min(old[name] - SHIFT, new[name])
        text += f"chain 1 {name} {old[name]} + {SHIFT} {SHIFT + size} {name} {new[name]} + 0 {size} {i}\n{size}\n\n"
    path = tmp_path / "made_up.chain.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


@pytest.fixture
def hg38(query, tmp_path):
    """The query's peaks that hg19 has room for."""
    lengths = query.var["chrom"].astype(str).map(chrom_lengths("hg19"))
    query[:, query.var["end"] + 2 * 5000 < lengths].write_h5ad(tmp_path / "hg38.h5ad")
    return tmp_path / "hg38.h5ad"


@pytest.fixture
def hg19(hg38, tmp_path):
    """The same as if it were on hg19."""
    query = ad.read_h5ad(hg38)
    var = pd.DataFrame(
        index=island_names(query.var["chrom"], query.var["start"] + SHIFT, query.var["end"] + SHIFT)
    )
    ad.AnnData(query.X, obs=query.obs, var=var, uns={keys.GENOME: "hg19"}).write_h5ad(tmp_path / "hg19.h5ad")
    return tmp_path / "hg19.h5ad"


def test_peaks_keep_their_coordinates_and_are_lifted_before_binning(run, hg19, hg38, chain, outputs):
    done = run("prepare", hg19, "-o", outputs / "i.h5ad", "--lift-to", "hg38", "--chain", chain)
    assert done.code == 0, done.err
    assert "Lifted from hg19 to hg38" in done.err
    got, wanted = ad.read_h5ad(outputs / "i.h5ad"), peak_islands(ad.read_h5ad(hg38))
    assert got.uns[keys.GENOME] == "hg38"
    assert got.var_names.tolist() == wanted.var_names.tolist()
    np.testing.assert_array_equal(got.X.toarray(), wanted.X.toarray())
    assert got.var[keys.PEAKS].tolist() == wanted.var[keys.PEAKS].tolist()


def test_several_inputs_of_two_assemblies_become_one(run, hg19, hg38, chain, outputs):
    done = run("prepare", hg19, hg38, "-o", outputs / "i.h5ad", "--lift-to", "hg38", "--chain", chain)
    assert done.code == 0, done.err
    got = ad.read_h5ad(outputs / "i.h5ad")
    half = got.n_obs // 2
    np.testing.assert_array_equal(got.X[:half].toarray(), got.X[half:].toarray())


def test_a_corpus_takes_samples_of_both(run, hg19, hg38, chain, outputs):
    from annatac.corpus import Corpus
    from annatac.corpus.selection import as_matrix

    turned = ad.read_h5ad(hg38)[::-1].copy()  # the same cells twice are refused
    turned.write_h5ad(hg38)
    corpus = outputs / "corpus"
    common = ["-o", corpus, "--workers", 1, "--lift-to", "hg38", "--chain", chain]
    done = run("prepare", f"there={hg19}", f"here={hg38}", *common)
    assert done.code == 0, done.err
    cells = Corpus.open(corpus)
    assert cells.universe.genome == "hg38"
    half = cells.n_cells // 2
    a, b = (as_matrix(cells, rows) for rows in (np.arange(half), np.arange(half, 2 * half)))
    np.testing.assert_array_equal(a.toarray(), b.toarray()[::-1])
    refused = run("prepare", f"more={hg19}", "-o", corpus, "--workers", 1)
    assert refused.code == 2
    assert "Lift it with --lift-to hg38" in refused.err.replace("\n", " ")


def test_fragments_are_lifted_in_narrow_bins(run, chain, outputs, tmp_path):
    """A fragment at 100,500 of hg19 lies at 99,266 of hg38, in the island before."""
    (tmp_path / "f.tsv").write_text("chr1\t100500\t100510\tcell\t1\nchr1\t102500\t102600\tcell\t1\n")
    way = ["--genome", "hg19", "--lift-to", "hg38", "--chain", chain]
    done = run("prepare", tmp_path / "f.tsv", "-o", outputs / "i.h5ad", *way)
    assert done.code == 0, done.err
    got = ad.read_h5ad(outputs / "i.h5ad")
    opened = dict(zip(got.var_names, got.X.toarray().sum(0).tolist(), strict=True))
    assert {name: n for name, n in opened.items() if n} == {"chr1:95000-100000": 2, "chr1:100000-105000": 2}


def test_what_is_refused(run, hg19, query, chain, outputs, tmp_path):
    def refused(words, *arguments):
        done = run("prepare", *arguments, "-o", outputs / "x.h5ad")
        assert done.code == 2, done.err
        assert words in done.err.replace("\n", " ")
        assert list(outputs.iterdir()) == []

    refused(
        "is on hg19, and no way leads from there to hg38. Give a UCSC chain file", hg19, "--lift-to", "hg38"
    )
    refused("name the one to lift to with --lift-to", hg19, "--chain", chain)
    refused("are human (hg19), the islands mouse (mm10)", hg19, "--lift-to", "mm10", "--chain", chain)
    peak_islands(ad.read_h5ad(hg19)).write_h5ad(tmp_path / "binned.h5ad")
    refused("Lifting islands is lossy", tmp_path / "binned.h5ad", "--lift-to", "hg38", "--chain", chain)
    del query.uns[keys.GENOME]
    query.write_h5ad(tmp_path / "unstated.h5ad")
    refused("is not stated", tmp_path / "unstated.h5ad", "--lift-to", "hg38", "--chain", chain)
