"""Gene scores of a few peaks and genes, by hand."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import annatac
from annatac.errors import ConfigError, InputError, OverlapError
from annatac.pp.gene_activity import gene_regions, gene_weights


def genes(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "symbol", "strand"])


def peaks(*rows):
    return pd.DataFrame(rows, columns=["chrom", "start", "end"])


def weight(distance):
    return np.exp(-distance / 5000) + np.exp(-1)


def cells(names, counts):
    return ad.AnnData(sp.csr_matrix(np.array(counts)), var=pd.DataFrame(index=names), uns={"genome": "hg38"})


def test_a_region_is_the_body_and_5_kb_before_its_start_site():
    table = gene_regions(genes(("chr1", 20_000, 30_000, "A", "+"), ("chr1", 60_000, 61_000, "B", "-")))
    assert table[["region_start", "region_end"]].to_numpy().tolist() == [[15_000, 30_000], [60_000, 66_000]]


def test_transcripts_of_a_symbol_are_one_gene():
    table = gene_regions(
        genes(
            ("1", 10_000, 12_000, "A", "+"),
            ("chr1", 11_000, 15_000, "A", "+"),
            ("chrY", 0, 3_000, "A", "+"),
            ("chr1", 1, 2, "", "+"),
        )
    )
    assert table[["chrom", "start", "end", "symbol"]].to_numpy().tolist() == [["chr1", 10_000, 15_000, "A"]]


def test_weights_by_distance():
    table = gene_regions(genes(("chr1", 205_000, 210_000, "A", "+")))  # region 200,000 to 210,000
    features = peaks(
        ("chr1", 205_000, 205_500),  # inside: distance 0
        ("chr1", 199_500, 200_001),  # one base inside
        ("chr1", 215_000, 215_500),  # first base 5,001 past the last one of the region
        ("chr1", 190_000, 190_500),
        ("chr1", 99_000, 100_000),  # ends where the reach begins
        ("chr1", 309_999, 311_000),  # one base within reach
        ("chr1", 310_000, 311_000),
        ("chr2", 205_000, 205_500),
    )
    expected = [weight(0), weight(0), weight(5_001), weight(9_501), 0, weight(100_000), 0, 0]
    found = gene_weights(features, table).toarray()[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # one gene: its size weighs 1


def test_neighbours_end_the_reach_but_for_the_nearest_1_kb():
    table = gene_regions(
        genes(
            ("chr1", 105_000, 110_000, "A", "+"),  # region 100,000 to 110,000
            ("chr1", 115_500, 120_500, "B", "+"),  # region 110,500 to 120,500: 500 bp behind A's
            ("chr1", 205_000, 210_000, "C", "+"),
        )
    )
    found = gene_weights(peaks(("chr1", 110_800, 110_900), ("chr1", 150_000, 150_100)), table).toarray() > 0
    assert found.tolist() == [[True, True, False], [False, True, True]]


def test_small_genes_weigh_more():
    table = gene_regions(genes(("chr1", 5_000, 15_000, "long", "+"), ("chr2", 5_000, 10_000, "short", "+")))
    found = gene_weights(peaks(("chr1", 6_000, 6_100), ("chr2", 6_000, 6_100)), table).diagonal()
    m = np.array([1 / 15_000, 1 / 10_000])
    np.testing.assert_allclose(found, weight(0) * (1 + 4 * m / (m[1] - m[0])), rtol=1e-5)


def test_scores_of_cells():
    table = genes(("chr1", 205_000, 210_000, "A", "+"), ("chr5", 5_000, 10_000, "far", "+"))
    adata = cells(["chr1:205000-205500", "chr1:215000-215500", "chr9:1-2"], [[1, 9, 3], [0, 0, 1], [2, 0, 0]])
    raw = annatac.pp.gene_scores(adata, table, scale_to=None)
    assert list(raw.var_names) == ["A"]
    one = raw.X.toarray()[:, 0] / raw.X.toarray()[2, 0]
    expected = [(weight(0) + 4 * weight(5_001)) / (2 * weight(0)), 0, 1]  # 9 counts are taken as 4
    np.testing.assert_allclose(one, expected, rtol=1e-5)
    scaled = annatac.pp.gene_scores(adata, table)
    assert scaled.X.dtype == np.float32
    np.testing.assert_allclose(
        scaled.X.sum(1).A1 if hasattr(scaled.X.sum(1), "A1") else scaled.X.sum(1), [1e4, 0, 1e4]
    )
    assert scaled.uns["genome"] == "hg38"


def test_what_cannot_be_scored():
    table = genes(("chr1", 205_000, 210_000, "A", "+"))
    with pytest.raises(InputError, match="the first is 'peak1'"):
        annatac.pp.gene_scores(cells(["peak1"], [[1]]), table)
    with pytest.raises(OverlapError, match="None of the 1 features lies within 100,000 bp"):
        annatac.pp.gene_scores(cells(["chr7:1-2"], [[1]]), table)
    with pytest.raises(InputError, match="start and end, not their start sites alone"):
        annatac.pp.gene_scores(cells(["chr1:1-2"], [[1]]), table[["chrom", "symbol"]].assign(tss=5))
    with pytest.raises(ConfigError, match="scale_to is 0"):
        annatac.pp.gene_scores(cells(["chr1:1-2"], [[1]]), table, scale_to=0)
