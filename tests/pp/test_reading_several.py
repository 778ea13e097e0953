from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import annatac
from annatac import keys
from annatac.errors import AnnatacWarning, AssemblyError, ConfigError, InputError, MissingFileError
from annatac.pp.reading import join_samples, sample_names


def _write(path, x, names, *, genome="hg38", obs=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(obs or {}, index=[f"AC{i}-1" for i in range(len(x))])
    uns = {"genome": genome} if genome else {}
    ad.AnnData(sp.csr_matrix(np.array(x)), obs=table, var=pd.DataFrame(index=names), uns=uns).write_h5ad(path)
    return path


@pytest.fixture
def two(tmp_path):
    a = _write(tmp_path / "a.h5ad", [[1, 2], [0, 3]], ["chr1:100-200", "chr2:0-90"], obs={"type": ["B", "T"]})
    b = _write(tmp_path / "b.h5ad", [[4, 1, 2]], ["1:6000-6100", "1:300-400", "1:350-420"], genome="GRCh38")
    return [a, b]


def test_one_input_stays_as_it_is(two):
    adata = annatac.read(two[0])
    assert adata.obs_names.tolist() == ["AC0-1", "AC1-1"]
    assert keys.SAMPLE not in adata.obs
    assert adata.var_names.tolist() == ["chr1:100-200", "chr2:0-90"]
    assert annatac.read([str(two[0])]).shape == adata.shape


def test_several_inputs_by_hand(two, tmp_path):
    adata = annatac.read(two)
    assert adata.obs_names.tolist() == ["a:AC0-1", "a:AC1-1", "b:AC0-1"]
    assert adata.obs[keys.SAMPLE].tolist() == ["a", "a", "b"]
    assert adata.var_names.tolist() == ["chr1:0-5000", "chr1:5000-10000", "chr2:0-5000"]
    assert adata.X.toarray().tolist() == [[1, 0, 2], [0, 0, 3], [2, 4, 0]]
    assert adata.X.dtype == np.int32
    assert adata.var["peaks"].tolist() == ["100-200;300-400;350-420", "6000-6100", "0-90"]
    assert adata.var["n_peaks"].tolist() == [3, 1, 1]
    assert adata.obs["type"].tolist()[:2] == ["B", "T"]
    assert adata.uns["genome"] in ("hg38", "GRCh38")
    adata.write_h5ad(tmp_path / "joined.h5ad")
    again = annatac.pp.peak_islands(annatac.read(tmp_path / "joined.h5ad"))
    assert (again.X != adata.X).nnz == 0
    assert again.var["peaks"].tolist() == adata.var["peaks"].tolist()


def test_names_of_samples(two, tmp_path):
    assert annatac.read(two, samples=["x", "y"]).obs[keys.SAMPLE].tolist() == ["x", "x", "y"]
    with pytest.raises(ConfigError, match="2 inputs need as many different sample names, found x, x"):
        annatac.read(two, samples=["x", "x"])
    paths = [
        tmp_path / name
        for name in ("p1/outs/filtered_peak_bc_matrix.h5", "p2/outs", "p3/fragments.tsv.gz", "q.h5ad")
    ]
    assert sample_names(paths) == ["p1", "p2", "p3", "q"]
    assert sample_names([tmp_path / "x.h5ad", tmp_path / "x.zarr"]) == ["x-1", "x-2"]


def test_barcodes_a_sample(two):
    adata = annatac.read(two, barcodes={"a": ["AC1-1"]})
    assert adata.obs_names.tolist() == ["a:AC1-1", "b:AC0-1"]
    with pytest.raises(ConfigError, match="unknown samples: z"):
        annatac.read(two, barcodes={"z": []})


def test_what_cannot_be_joined(two, tmp_path):
    mouse = _write(tmp_path / "m.h5ad", [[1]], ["chr1:1-2"], genome="mm10")
    with pytest.raises(AssemblyError, match=r"different assemblies \(a: hg38, m: mm10\)"):
        annatac.read([two[0], mouse])
    named = _write(tmp_path / "n.h5ad", [[1, 1]], ["CD19", "CD3E"])
    with pytest.raises(InputError, match="sample 'n' have no coordinates"), pytest.warns(AnnatacWarning):
        annatac.read([two[0], named])
    with pytest.raises(ConfigError, match="No input"):
        annatac.read([])
    with pytest.raises(MissingFileError, match=r"none\.h5ad"):
        annatac.read(tmp_path / "none.h5ad")


def test_named_features_are_joined_by_name(tmp_path):
    a = _write(tmp_path / "a.h5ad", [[1, 2]], ["CD19", "CD3E"])
    b = _write(tmp_path / "b.h5ad", [[3, 4]], ["LYZ", "CD19"])
    with pytest.warns(AnnatacWarning, match="no coordinates"):
        adata = annatac.read([a, b])
    assert adata.to_df().to_dict("list") == {"CD19": [1, 4], "CD3E": [2, 0], "LYZ": [0, 3]}


def test_bins_and_peaks_together_are_warned_of(two):
    peaks = annatac.pp.peak_islands(annatac.read(two[0]))
    bins = peaks.copy()
    bins.uns[keys.ISLANDS] = {"bin_size": 5000, "source": "fragments"}
    bins.var["peaks"] = ""
    with pytest.warns(AnnatacWarning, match="Samples from fragments and peaks are joined"):
        joined = join_samples([peaks, bins], ["p", "f"])
    assert joined.var["peaks"].tolist() == ["", ""]
    assert joined.uns[keys.ISLANDS]["source"] == "mixed"


@pytest.mark.dataset("pbsmall_fragments")
def test_fragments_of_two_samples(dataset_path):
    path = dataset_path("pbsmall_fragments")
    one = annatac.read(path, genome="hg19")
    both = annatac.read([path, path], samples=["x", "y"], genome="hg19")
    assert both.n_obs == 2 * one.n_obs
    assert both.X.sum() == 2 * one.X.sum()
    assert both.uns["genome"] == "hg19"
