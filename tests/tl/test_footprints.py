"""Footprints: hand counts, the bias of Tn5, planted depths, bad input."""

from __future__ import annotations

import gzip
import importlib.util
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from annatac import tl
from annatac.errors import AnnatacWarning, AssemblyError, ConfigError, InputError, LabelError
from annatac.genome.fasta import Genome, kmer_codes
from annatac.tl.fragments.sites import read_sites
from annatac.tl.fragments.tn5_bias import REACH_BP, KmerBias, Preference, expected_insertions

PERF = Path(__file__).parents[2] / "perf" / "footprint_recovery.py"


def _simulation():
    spec = importlib.util.spec_from_file_location("footprint_recovery", PERF)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_fragments(path, rows):
    text = "".join(f"{c}\t{s}\t{e}\t{b}\t1\n" for c, s, e, b in sorted(rows))
    path.write_bytes(gzip.compress(text.encode()))
    return path


def write_fasta(path, sequences):
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in sequences.items()))
    return path


def cells_of(types):
    names = [f"C{i}" for i in range(len(types))]
    return ad.AnnData(obs=pd.DataFrame({"type": types}, index=names))


@pytest.fixture
def small(tmp_path):
    """Two cells of two types; a site of 5 bp on either strand, its middle at 1,002 and 5,002."""
    rows = [("chr1", 1000, 1010, "C0"), ("chr1", 1002, 1203, "C1"), ("chr1", 5000, 5101, "C0")]
    sites = pd.DataFrame(
        {"chrom": ["1", "1"], "start": [1000, 5000], "end": [1005, 5005], "strand": ["+", "-"]}
    )
    return cells_of(["a/b", "c"]), write_fragments(tmp_path / "f.tsv.gz", rows), sites


def test_counts_by_hand(small):
    adata, file, sites = small
    with pytest.warns(AnnatacWarning, match="not corrected"):
        found = tl.footprints(adata, file, sites, groupby="type", min_cells=1)
    assert found.types == ["a/b", "c"]
    at = {int(p): i for i, p in enumerate(found.position)}
    seen = np.zeros((2, 501), dtype=int)
    # + site: offsets are position - 1002; - site: 5002 - position
    for offset in (1000 - 1002, 1009 - 1002, 5002 - 5000, 5002 - 5100):
        seen[0, at[offset]] += 1
    for offset in (1002 - 1002, 1202 - 1002):
        seen[1, at[offset]] += 1
    np.testing.assert_array_equal(found.insertions[0], seen)
    assert found.n_sites.tolist() == [2]
    assert found.core_bp.tolist() == [5]
    assert found.expected is None
    assert not found.table()["is_bias_corrected"].any()


def test_even_widths_have_one_middle_on_both_strands():
    sites = read_sites(pd.DataFrame({"chrom": "1", "start": [10, 10], "end": [14, 14], "strand": ["+", "-"]}))
    # 10 11 12 13: the left one of the two middle bases as read: 11 on +, 12 on -
    assert dict(zip(sites.minus.tolist(), sites.centre.tolist(), strict=True)) == {False: 11, True: 12}


def test_the_same_site_twice_counts_once(small):
    adata, file, sites = small
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnnatacWarning)
        once = tl.footprints(adata, file, sites, groupby="type", min_cells=1)
        twice = tl.footprints(adata, file, pd.concat([sites, sites]), groupby="type", min_cells=1)
    np.testing.assert_array_equal(once.insertions, twice.insertions)


def test_several_motifs_from_bed_files_and_a_column(small, tmp_path):
    adata, file, sites = small
    bed = tmp_path / "plus.bed.gz"
    bed.write_bytes(gzip.compress(b"# sites\nchr1\t1000\t1005\tx\t0\t+\n"))
    other = sites.iloc[[1]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnnatacWarning)
        named = tl.footprints(adata, file, {"P": bed, "M/2": other}, groupby="type", min_cells=1)
        column = tl.footprints(adata, file, sites.assign(motif=["P", "M/2"]), groupby="type", min_cells=1)
    assert named.motifs == column.motifs == ["P", "M/2"]
    np.testing.assert_array_equal(named.insertions, column.insertions)
    with pytest.raises(InputError, match=r"no motif 'M2'.*Did you mean 'M/2'"):
        named.index_of("M2")


def test_profiles_and_depth_by_hand(small):
    adata, file, sites = small
    with pytest.warns(AnnatacWarning, match="FASTA"):
        found = tl.footprints(adata, file, sites, groupby="type", min_cells=1)
    x = found.position
    seen = np.full((1, 2, 501), 10)
    seen[..., np.abs(x) <= 2] = 5  # the core, 5 bp wide
    seen[..., np.abs(x) > 200] = 8
    expected = np.full((1, 2, 501), 4.0)
    expected[..., np.abs(x) <= 2] = 8.0
    object.__setattr__(found, "insertions", seen)
    object.__setattr__(found, "expected", expected)
    table = found.table()
    # insertions over expected: core 5/8, shoulder 10/4, flank 8/4
    np.testing.assert_allclose(table["depth"], 1 - (5 / 8) / (10 / 4))
    np.testing.assert_allclose(table["flank_accessibility"], (10 / 4) / (8 / 4))
    np.testing.assert_allclose(table["depth_uncorrected"], 0.5)
    # subtract: shoulder 10/8 - 1, core 5/8 - 2
    np.testing.assert_allclose(table["depth_subtract"], (10 / 8 - 1) - (5 / 8 - 2))
    np.testing.assert_allclose(table["depth_se"], 0.25 * np.sqrt(1 / 25 + 1 / 1000))
    divided = found.profile("divide")[0, 0]
    np.testing.assert_allclose(divided[x == 0], (5 / 8) / 2)
    np.testing.assert_allclose(found.profile("none")[0, 0][x == 0], 5 / 8)
    assert len(found.to_frame()) == 2 * 501
    with pytest.raises(ConfigError, match="Did you mean 'divide'"):
        found.profile("devide")


def test_kmer_codes():
    bases = np.array([0, 1, 2, 3, 4, 0, 0], dtype=np.uint8)  # ACGTNAA
    assert kmer_codes(bases, 2).tolist() == [1, 6, 11, -1, -1, 0]


def test_expected_insertions_by_hand(tmp_path):
    genome = Genome(write_fasta(tmp_path / "g.fa", {"1": "ACGTACGTTTGCA"}))
    sites = read_sites(pd.DataFrame({"chrom": "1", "start": [4, 6], "end": [5, 7], "strand": ["+", "-"]}))
    bias = np.arange(1.0, 17.0)  # by 2-mer, which spans x - 1 and x
    # + at 4, positions 3, 4, 5: GT = 11, TA = 12, AC = 1 -> 12, 13, 2
    # - at 6, positions 7, 6, 5: GT, CG, AC -> 12, 7, 2
    plus, minus = np.array([12, 13, 2]) / 27, np.array([12, 7, 2]) / 21
    by_site = np.array([[10, 0], [6, 3]], dtype=np.int32)
    known = Preference(by_base=np.ones((2 * REACH_BP + 1, 5)), by_kmer=bias, kmer_variance=bias / 100)
    core = np.array([False, True, False])
    found, variance = expected_insertions(genome, sites, by_site, known, flank_bp=1, zones=[(core, ~core)])
    np.testing.assert_allclose(found[0, 0], 10 * plus + 6 * minus)
    np.testing.assert_allclose(found[0, 1], 3 * minus)
    # core: TA 130 / 27 and CG 9 * 7 / 21; shoulder: GT 120 / 27 + 9 * 12 / 21, AC 20 / 27 + 9 * 2 / 21
    ta, cg, gt, ac = 130 / 27, 3, 120 / 27 + 36 / 7, 20 / 27 + 6 / 7
    shares = np.array([ta, cg]) / (ta + cg), np.array([gt, ac]) / (gt + ac)
    by_hand = shares[0] ** 2 @ [0.13, 0.07] + shares[1] ** 2 @ [0.12, 0.02]
    np.testing.assert_allclose(variance, [by_hand])


def test_bases_far_from_the_cut_by_hand(tmp_path):
    by_base = np.ones((2 * REACH_BP + 1, 5))
    by_base[0, 3], by_base[-1, 1] = 3, 5  # T 10 bp before the cut, C 10 bp after it
    known = Preference(by_base=by_base, by_kmer=np.ones(16), kmer_variance=np.ones(16))
    bases = np.zeros(23, dtype=np.uint8)
    bases[[0, 22]] = 3, 1
    weight, code = known.weigh(bases)
    np.testing.assert_array_equal(weight, [3, 1, 5])
    np.testing.assert_array_equal(code, [0, 0, 0])


def test_openness_does_not_look_like_a_preference(tmp_path):
    rng = np.random.default_rng(0)
    n = 200_000
    is_gc_rich = (np.arange(n) // 1000) % 2 == 1
    bases = np.where(
        rng.random(n) < np.where(is_gc_rich, 0.7, 0.3), rng.integers(1, 3, n), rng.choice([0, 3], n)
    )
    genome = Genome(write_fasta(tmp_path / "g.fa", {"chr1": "".join(np.array(list("ACGT"))[bases])}))
    truth = np.exp(rng.normal(0, 0.5, 4**3))
    code = kmer_codes(bases.astype(np.uint8), 3)
    weight = np.zeros(n)
    weight[1 : n - 1] = truth[code]
    weight *= np.where(is_gc_rich, 20, 1)
    position = rng.choice(n, 400_000, p=weight / weight.sum())
    far = read_sites(pd.DataFrame({"chrom": ["1"], "start": [100], "end": [101]}))
    background = pd.DataFrame({"chrom": ["1"], "start": [0], "end": [n]})
    learner = KmerBias(genome, background, k=3, avoid=far, avoid_bp=10)
    learner.add("chr1", position)
    learnt = learner.fit()
    first, *_, last = range(REACH_BP - 1, REACH_BP + 2)
    triples = np.stack(np.unravel_index(np.arange(64), (4, 4, 4)))
    found = learnt.by_kmer * np.prod(learnt.by_base[np.arange(first, last + 1)[:, None], triples], axis=0)
    beyond = np.delete(learnt.by_base[:, :4], np.arange(first, last + 1), axis=0)
    assert np.abs(beyond - 1).max() < 0.03, "what no k-mer of the truth reaches has no say"
    ratio = found / truth
    assert ratio.std() / ratio.mean() < 0.03
    gc = np.array([sum(int(c) in (1, 2) for c in np.base_repr(i, 4).zfill(3)) for i in range(64)])
    naive = np.bincount(code, minlength=64)
    seen = np.bincount(code[np.clip(position - 1, 0, n - 3)], minlength=64)
    assert np.corrcoef(seen / naive / truth, gc)[0, 1] > 0.9  # what plain counting would say


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    module = _simulation()
    return module, module.simulate(
        tmp_path_factory.mktemp("planted"), n_fragments=120_000, seed=2
    )  # its motif is preferred


@pytest.mark.filterwarnings("ignore::annatac.errors.AnnatacWarning")
def test_planted_depths_are_recovered_within_a_tenth(planted):
    module, (adata, file, fasta, sites) = planted
    found = tl.footprints(adata, file, sites, groupby="type", fasta=fasta)
    table = found.table().set_index("cell_type")
    assert list(table.index) == list(module.DEPTHS)
    for name, depth in module.DEPTHS.items():
        assert abs(table.loc[name, "depth"] - depth) <= max(0.1 * depth, 0.05), table
    worst = (table["depth_uncorrected"] - pd.Series(module.DEPTHS)).abs().max()
    assert worst > 2 * (table["depth"] - pd.Series(module.DEPTHS)).abs().max()
    np.testing.assert_allclose(found.expected.sum(axis=2), found.insertions.sum(axis=2))
    again = tl.footprints(adata, file, sites, groupby="type", fasta=fasta, types=["D/4"])
    np.testing.assert_array_equal(again.insertions[0, 0], found.insertions[0, 3])


def test_small_types_are_left_out_and_said(small):
    adata, file, sites = small
    adata.obs["type"] = ["a/b", None]
    with pytest.raises(LabelError, match=r"No type .* has 10 cells; there are: 'a/b' \(1\)"):
        tl.footprints(adata, file, sites, groupby="type")
    adata.obs["type"] = ["a/b", "c"]
    with pytest.raises(LabelError, match="Did you mean 'type'"):
        tl.footprints(adata, file, sites, groupby="typ")


def test_bad_input(small, tmp_path):
    adata, file, sites = small
    options = {"groupby": "type", "min_cells": 1}
    with pytest.raises(ConfigError, match="2 to 8"):
        tl.footprints(adata, file, sites, kmer=9, **options)
    with pytest.raises(ConfigError, match="together need 125"):
        tl.footprints(adata, file, sites, flank_bp=100, **options)
    with pytest.raises(InputError, match="columns a; expected chrom"):
        tl.footprints(adata, file, pd.DataFrame({"a": [1]}), **options)
    bed = tmp_path / "bad.bed"
    bed.write_text("chr1\t5\t9\nchr1\t9\t9\n")
    with pytest.raises(InputError, match=r"bad.bed, line 2: start 9, end 9"):
        tl.footprints(adata, file, bed, **options)
    with (
        pytest.warns(AnnatacWarning, match="FASTA"),
        pytest.raises(InputError, match="No insertion of the cells lies within 250 bp"),
    ):
        tl.footprints(adata, file, sites.assign(chrom="chr9"), **options)


def test_fasta_of_another_assembly(small, tmp_path):
    adata, file, sites = small
    options = {"groupby": "type", "min_cells": 1}
    short = write_fasta(tmp_path / "short.fa", {"chr1": "ACGT" * 500})
    with pytest.raises(AssemblyError, match=r"A site lies at chr1:5,00\d, past the end .*2,000 bp"):
        tl.footprints(adata, file, sites, fasta=short, **options)
    adata.uns["genome"] = "hg38"
    with pytest.raises(AssemblyError, match=r"not of hg38: chr1 has 2,000 bp, 248,956,422 are expected"):
        tl.footprints(adata, file, sites, fasta=short, **options)
    foreign = write_fasta(tmp_path / "foreign.fa", {"scaffold_1": "ACGT" * 5000})
    with pytest.raises(AssemblyError, match="called like 'scaffold_1'"):
        tl.footprints(adata, file, sites, fasta=foreign, **options)
    del adata.uns["genome"]
    with pytest.raises(InputError, match=r"None of the sites' chromosomes \(chr1\)"):
        tl.footprints(adata, file, sites, fasta=foreign, **options)
    with pytest.raises(InputError, match=r"no FASTA|no sequence"):
        tl.footprints(adata, file, sites, fasta=write_bed(tmp_path), **options)


def write_bed(folder):
    path = folder / "not.fa"
    path.write_text("chr1\t1\t2\n")
    return path
