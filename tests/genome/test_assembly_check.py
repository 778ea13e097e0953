from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from annatac.errors import AnnatacWarning, AssemblyError
from annatac.genome import check_assembly, chrom_lengths, intervals_of, profile_correlation, read_genes


def _peaks(rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def _made_up(n=1000, seed=0):
    """Genes, and peaks of which half lie at their start sites."""
    rng = np.random.default_rng(seed)
    tss = np.sort(rng.integers(1_000_000, 140_000_000, n))
    genes = pd.DataFrame({"chrom": "chr1", "tss": tss, "symbol": [f"G{i}" for i in range(n)]})
    start = np.concatenate([tss[::2] - 250, rng.integers(1_000_000, 140_000_000, n // 2)])
    return _peaks({"chrom": "chr1", "start": start, "end": start + 500}), genes


def test_coordinates_past_a_chromosome_exclude_an_assembly():
    length = chrom_lengths("hg38")["chr1"]  # shorter than in hg19
    rows = [("1", 1000, 1500), ("1", length + 10, length + 400)]
    report = check_assembly(_peaks(rows))
    assert report.n_past_end["hg38"] == 1
    assert report.n_past_end["hg19"] == 0
    assert report.likely is None  # more than one fits
    with pytest.raises(
        AssemblyError, match=r"1 of 2 features lie outside hg38, .*chr1 has 248,956,422 bp.*hg19"
    ):
        check_assembly(_peaks(rows), genome="GRCh38")
    assert check_assembly(_peaks(rows), genome="hg19").stated == "hg19"


def test_a_bin_may_run_past_the_end():
    last = chrom_lengths("hg38")["chr1"] // 5000 * 5000
    assert "hg38" in check_assembly(_peaks([("chr1", last, last + 5000)]), genome="hg38").fits


def test_a_chromosome_that_the_assembly_lacks():
    with pytest.raises(AssemblyError, match="there is no chr21"):
        check_assembly(_peaks([("chr21", 5, 9)]), genome="mm10")


def test_one_stray_peak_among_many_only_warns():
    start = np.arange(2000) * 10_000
    table = _peaks({"chrom": "chr1", "start": start, "end": start + 500})
    table.loc[7, ["start", "end"]] = [10**9, 10**9 + 5]
    with pytest.warns(AnnatacWarning, match="1 of 2,000 features lie outside hg38"):
        check_assembly(table, genome="hg38")


def test_scaffolds_say_nothing():
    assert check_assembly(_peaks([("GL000009.2", 5, 9), ("chr1", 5, 9)]), genome="mm10").n_features == 1


def test_custom_genome(tmp_path):
    path = tmp_path / "fish.sizes"
    path.write_text("chr1\t1000\n")
    assert str(path) in check_assembly(_peaks([("chr1", 5, 9)]), genome=str(path)).fits
    with pytest.raises(AssemblyError, match="lie outside fish"):
        check_assembly(_peaks([("chr1", 5000, 5009)]), genome=str(path))


def test_openness_at_start_sites_names_the_assembly():
    peaks, genes = _made_up()
    _, foreign = _made_up(seed=5)
    tables = {"hg19": genes, "hg38": foreign}
    openness = np.ones(len(peaks))
    report = check_assembly(peaks, openness=openness, genes_by_assembly=tables)
    assert report.likely == "hg19"
    assert 0.5 < report.tss_share["hg19"] < 0.6
    with pytest.raises(AssemblyError, match=r"does not pile up at the start sites of hg38.*look like hg19"):
        check_assembly(peaks, genome="hg38", genes_by_assembly=tables)
    with pytest.raises(AssemblyError, match=r"start sites of hg38.*They fit hg19, "):
        check_assembly(peaks, genome="hg38", genes_by_assembly={"GRCh38": foreign})
    partly = pd.concat([genes.iloc[: len(genes) // 30], foreign])
    with pytest.warns(AnnatacWarning, match="Is hg38 the right assembly"):
        check_assembly(peaks, genome="hg38", genes_by_assembly={"GRCh38": partly})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_assembly(peaks, genome="hg19", genes_by_assembly=tables)


def test_share_at_start_sites_by_hand():
    genes = pd.DataFrame({"chrom": ["1"], "tss": [10_000], "symbol": ["A"]})
    rows = [
        ("chr1", 10_900, 11_100),
        ("chr1", 10_902, 11_104),
        ("chr1", 10_000, 15_000),
        ("chr1", 15_000, 20_000),
    ]
    # midpoint 1,000 bp away: near; 1,003: not; a bin that holds the site: near; the next bin: not
    report = check_assembly(_peaks(rows), openness=[1, 2, 4, 8], genes_by_assembly={"hg19": genes})
    assert report.tss_share["hg19"] == pytest.approx(5 / 15)


def test_correlation_of_profiles():
    rng = np.random.default_rng(0)
    model = rng.gamma(1.0, size=3000)
    same = profile_correlation(model * rng.gamma(5.0, size=3000), model)
    other = profile_correlation(rng.permutation(model), model)
    few = profile_correlation(rng.permutation(model[:100]), model[:100])
    assert (same.foreign, same.doubtful) == (False, False)
    assert other.foreign
    assert not few.foreign
    assert other.n_islands == 3000
    assert other.r == pytest.approx(0, abs=0.06)
    assert np.isnan(profile_correlation([], []).r)
    assert not profile_correlation(np.ones(500), np.ones(500)).foreign


@pytest.fixture(scope="module")
def genes(dataset_path):
    return {name: read_genes(dataset_path(f"{name}_genes")) for name in ("hg19", "hg38", "mm10")}


SETS = ("buenrostro2018_bm0828", "chen2019_snare_adcortex", "neurips2021_bmmc_600peaks")


@pytest.mark.dataset(*SETS, "hg19_genes", "hg38_genes", "mm10_genes")
@pytest.mark.parametrize(("name", "right"), [*zip(SETS, ("hg19", "mm10", "hg38"), strict=True)])
def test_real_data(dataset, genes, name, right):
    adata = dataset(name)
    table = intervals_of(adata.var)
    openness = np.asarray(adata.X.sum(0)).ravel()
    report = check_assembly(table, openness=openness, genome=right, genes_by_assembly=genes)
    assert report.likely == right
    for wrong in {"hg19", "hg38", "mm10"} - {right}:
        with pytest.raises(AssemblyError, match=f"look like {right}"):
            check_assembly(table, openness=openness, genome=wrong, genes_by_assembly=genes)
