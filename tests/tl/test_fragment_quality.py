"""Quality from fragments: by hand, and against plain loops on real fragments."""

from __future__ import annotations

import gzip

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from annatac import keys, tl
from annatac.errors import AnnatacWarning, ConfigError, InputError


def write_fragments(path, rows):
    text = "".join(f"{c}\t{s}\t{e}\t{b}\t1\n" for c, s, e, b in sorted(rows))
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_sizes_and_signal_by_hand(tmp_path):
    rows = [("chr1", 100, 100 + n, "A") for n in (50, 146, 147, 293, 294, 1000, 1500)]
    rows += [("chr1", 5, 155, "B")]
    adata = ad.AnnData(obs=pd.DataFrame(index=["A", "B", "C"]))
    with pytest.warns(AnnatacWarning, match=r"1 of the 3 cells have no fragment.*100.0% of its 8"):
        copied = tl.fragment_qc(adata, write_fragments(tmp_path / "f.tsv.gz", rows), copy=True)
    assert keys.N_FRAGMENTS not in adata.obs
    assert copied.obs[keys.N_FRAGMENTS].tolist() == [7, 1, 0]
    np.testing.assert_array_equal(copied.obs[keys.NUCLEOSOME_SIGNAL], np.float32([1.0, np.nan, np.nan]))
    assert keys.TSS_ENRICHMENT not in copied.obs
    result = copied.uns[keys.FRAGMENT_QC]
    assert result["types"].tolist() == ["all cells"]
    sizes = result["fragment_sizes"]
    assert sizes.shape == (1, 1001)
    assert {int(i): int(sizes[0, i]) for i in np.flatnonzero(sizes)} == {
        **dict.fromkeys((50, 146, 147, 150, 293, 294), 1),
        1000: 2,
    }


def test_start_site_profile_and_score_by_hand(tmp_path):
    rows = [("1", 9_990, 10_011, "A")]  # insertions at -10 and +10 of the start site at 10,000
    rows += [("1", 8_050, 8_060, "A"), ("1", 30_020, 30_061, "B")]  # both ends at -1950 .. -1941; B on -
    genes = pd.DataFrame(
        {
            "chrom": ["chr1", "chr1"],
            "start": [10_000, 20_000],
            "end": [15_000, 30_001],
            "symbol": ["P", "M"],
            "strand": ["+", "-"],
        }
    )
    adata = ad.AnnData(obs=pd.DataFrame({"type": ["x", "y"]}, index=["A", "B"]))
    tl.fragment_qc(adata, write_fragments(tmp_path / "f.tsv.gz", rows), genes=genes, groupby="type")
    result = adata.uns[keys.FRAGMENT_QC]
    position = result["position"]
    for t, offsets in ((0, [-10, 10, -1950, -1941]), (1, [-20, -60])):
        assert sorted(position[np.flatnonzero(result["tss_insertions"][t])]) == sorted(offsets)
    # outer flanks: A 2, B 0 of 3 fragments: predicted 2 * n / 3, shrunk as if by 10 insertions
    centre, outer, predicted = np.array([2, 1]), np.array([2, 0]), np.array([2, 1]) * 2 / 3
    shrunk = (outer + 10) / (1 + 10 / predicted)
    np.testing.assert_allclose(adata.obs[keys.TSS_ENRICHMENT], (centre / 101) / (shrunk / 200), rtol=1e-6)
    assert result["n_tss"] == 2


@pytest.mark.dataset("pbsmall_fragments", "hg19_genes")
def test_real_fragments_against_plain_loops(dataset_path, tmp_path):
    path, gene_path = dataset_path("pbsmall_fragments"), dataset_path("hg19_genes")
    table = pd.read_csv(path, sep="\t", header=None, names=["chrom", "start", "end", "cell", "n"])
    names = [f"{kind}.{i}" for kind in "BMT" for i in range(1, 51)]
    obs = pd.DataFrame({"type": [name[0] for name in names]}, index=[f"s1:{name}" for name in names])
    adata = ad.AnnData(obs=obs)
    with pytest.warns(AnnatacWarning, match="without the sample in front"):
        tl.fragment_qc(adata, path, genes=gene_path, groupby="type")
    counts = table["cell"].value_counts()
    np.testing.assert_array_equal(adata.obs[keys.N_FRAGMENTS], counts.reindex(names, fill_value=0))
    result = adata.uns[keys.FRAGMENT_QC]
    assert result["fragment_sizes"].sum() == result["n_matched"] == len(table)
    genes = pd.read_csv(gene_path, sep="\t", header=None, names=["chrom", "start", "end", "symbol", "strand"])
    is_minus = genes["strand"] == "-"
    sites = pd.DataFrame(
        {"chrom": genes["chrom"], "tss": genes["start"].where(~is_minus, genes["end"] - 1), "minus": is_minus}
    ).drop_duplicates()
    seen = np.zeros((3, 4001), dtype=int)
    for chrom, part in table.groupby("chrom"):
        tss = sites[sites["chrom"] == chrom]
        for cell, *ends in zip(part["cell"], part["start"], part["end"] - 1, strict=True):
            for position in ends:
                offset = position - tss["tss"].to_numpy()
                offset = np.where(tss["minus"], -offset, offset)
                offset = offset[np.abs(offset) <= 2000]
                np.add.at(seen["BMT".index(cell[0])], offset + 2000, 1)
    np.testing.assert_array_equal(result["tss_insertions"], seen)
    adata.write_h5ad(tmp_path / "out.h5ad")
    back = ad.read_h5ad(tmp_path / "out.h5ad").uns[keys.FRAGMENT_QC]
    np.testing.assert_array_equal(back["tss_insertions"], seen)
    assert list(back["types"]) == ["B", "M", "T"]


@pytest.mark.dataset("calderon2019_fragments", "hg38_genes")
def test_real_profiles_look_as_they_should(dataset_path):
    adata = ad.AnnData(obs=pd.DataFrame(index=[f"S{i:02d}" for i in range(1, 34)]))
    tl.fragment_qc(adata, dataset_path("calderon2019_fragments"), genes=dataset_path("hg38_genes"))
    result = adata.uns[keys.FRAGMENT_QC]
    scores = adata.obs[keys.TSS_ENRICHMENT]
    assert 5 < scores.median() < 20
    assert scores.min() > 2  # two samples are poor
    x, profile = result["position"], np.convolve(result["tss_insertions"][0], np.ones(101), "same")
    assert abs(x[profile.argmax()]) < 150
    sizes = np.convolve(result["fragment_sizes"][0], np.ones(21), "same")
    assert sizes[200] > 1.1 * sizes[150]  # one nucleosome
    assert 350 < 310 + sizes[310:600].argmax() < 430  # two


def test_bad_input(tmp_path):
    file = write_fragments(tmp_path / "f.tsv.gz", [("chr1", 5, 9, "A")])
    adata = ad.AnnData(obs=pd.DataFrame(index=["A"]))
    genes = pd.DataFrame({"chrom": ["chr2"], "tss": [5], "symbol": ["G"]})
    with pytest.raises(InputError, match=r"near a start site of the genes, which are on chr2"):
        tl.fragment_qc(adata, file, genes=genes)
    with pytest.raises(ConfigError, match="at least 150"):
        tl.fragment_qc(adata, file, flank_bp=100)
    with pytest.raises(InputError, match=r"No cell belongs to the sample 's1'"):
        tl.fragment_qc(adata, {"s1": file})
    assert not len(adata.obs.columns)


def test_several_samples(tmp_path):
    a = write_fragments(tmp_path / "a.tsv.gz", [("chr1", 5, 9, "AAC-1"), ("chr1", 5, 9, "GGT-1")])
    b = write_fragments(tmp_path / "b.tsv.gz", [("chr1", 5, 9, "AAC-1"), ("chr1", 7, 9, "AAC-1")])
    adata = ad.AnnData(obs=pd.DataFrame(index=["a:AAC-1", "b:AAC-1", "a:GGT-1"]))
    with pytest.warns(AnnatacWarning, match="without the sample in front"):
        tl.fragment_qc(adata, {"a": a, "b": b})
    assert adata.obs[keys.N_FRAGMENTS].tolist() == [1, 2, 1]
