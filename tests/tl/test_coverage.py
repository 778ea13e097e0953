"""Coverage of loci and of genomes: against plain loops, through files and back."""

from __future__ import annotations

import gzip

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from annatac import tl
from annatac.errors import (
    AnnatacWarning,
    AssemblyError,
    ConfigError,
    InputError,
    MissingDependencyError,
    OutputError,
)
from annatac.genome.regions import merged, parse_region


@pytest.fixture(scope="module")
def real(dataset_path):
    path = dataset_path("pbsmall_fragments")
    table = pd.read_csv(path, sep="\t", header=None, names=["chrom", "start", "end", "cell", "n"])
    names = [f"{kind}.{i}" for kind in "BMT" for i in range(1, 51)]
    obs = pd.DataFrame({"type": [{"B": "B/1", "M": "M", "T": "b 1"}[name[0]] for name in names]}, index=names)
    return ad.AnnData(obs=obs, uns={"genome": "hg19"}), path, table.assign(type=table["cell"].str[0])


def plain(table, chrom, start, end, bin_size, count):
    """Return insertions, or mean depth, of one type in the bins of a region by loops over bases."""
    depth = np.zeros(end - start)
    mine = table[(table["chrom"] == chrom) & (table["end"] > start) & (table["start"] < end)]
    for a, b in zip(mine["start"] - start, mine["end"] - start, strict=True):
        if count == "fragments":
            depth[max(a, 0) : min(b, end - start)] += 1
        else:
            for x in (a, b - 1):
                if 0 <= x < end - start:
                    depth[x] += 1
    bins = [depth[i : i + bin_size] for i in range(0, end - start, bin_size)]
    return np.array([part.mean() if count == "fragments" else part.sum() for part in bins])


@pytest.mark.filterwarnings("ignore::annatac.errors.AnnatacWarning")
@pytest.mark.dataset("pbsmall_fragments")
@pytest.mark.parametrize("count", ["insertions", "fragments"])
def test_against_loops_over_bases(real, count):
    adata, path, table = real
    first = table[table["chrom"] == "chr5"].iloc[2000]
    start = int(first["start"]) + 20  # in the middle of a fragment
    end = start + 50_017
    region = f"5:{start:,}-{end:,}"
    for normalise, per in (("none", [1, 1, 1]), ("cells", [50, 50, 50]), ("total", None)):
        found = tl.coverage(
            adata, path, region, groupby="type", bin_size=100, count=count, normalise=normalise
        )
        assert found.types == ["B/1", "M", "b 1"]
        for i, kind in enumerate("BMT"):
            mine = table[table["type"] == kind]
            total = len(mine) * (2 if count == "insertions" else 1) / 1e6 if per is None else per[i]
            expected = plain(mine, "chr5", start, end, 100, count) / total
            np.testing.assert_allclose(found.values[i], expected, rtol=1e-9, atol=1e-12)
    frame = found.to_frame()
    assert frame["end"].iloc[-1] == end
    assert list(frame.columns) == ["chrom", "start", "end", "B/1", "M", "b 1"]


@pytest.mark.filterwarnings("ignore::annatac.errors.AnnatacWarning")
@pytest.mark.dataset("pbsmall_fragments")
def test_totals_of_quality_control_are_used(real):
    adata, path, _ = real
    plainly = tl.coverage(adata, path, "chr5:1-19,000,000", groupby="type")
    counted = tl.fragment_qc(adata, path, copy=True)
    again = tl.coverage(counted, path, "chr5:1-19,000,000", groupby="type")
    np.testing.assert_allclose(plainly.values, again.values)
    assert plainly.unit == "insertions per million in 18,999 bp"


@pytest.mark.filterwarnings("ignore::annatac.errors.AnnatacWarning")
@pytest.mark.dataset("pbsmall_fragments")
@pytest.mark.parametrize("count", ["insertions", "fragments"])
def test_bigwig_and_bedgraph_hold_the_same(real, tmp_path, count):
    big_wig = pytest.importorskip("pyBigWig")
    adata, path, table = real
    options = {"groupby": "type", "bin_size": 1000, "count": count, "normalise": "none"}
    listed = tl.export_coverage(adata, path, tmp_path / "bw", **options)
    as_text = tl.export_coverage(adata, path, tmp_path / "bg", file_format="bedgraph", **options)
    assert listed["file"].tolist() == ["B_1.bw", "M.bw", "b_1_2.bw"]
    assert listed["n_fragments"].tolist() == table["type"].value_counts()[["B", "M", "T"]].tolist()
    assert sorted(p.name for p in (tmp_path / "bw").iterdir()) == sorted([*listed["file"], "tracks.tsv"])
    assert pd.read_csv(tmp_path / "bw" / "tracks.tsv", sep="\t")["cell_type"].tolist() == ["B/1", "M", "b 1"]
    for kind, file, text in zip("BMT", listed["file"], as_text["file"], strict=True):
        mine = table[(table["type"] == kind) & (table["chrom"] == "chr5")]
        expected = plain(mine, "chr5", 0, 40_000_000, 1000, count)
        wig = big_wig.open(str(tmp_path / "bw" / file))
        assert wig.chroms() == {"chr5": 180_915_260, "chr11": 135_006_516}
        found = np.zeros(180_916)
        for start, end, value in wig.intervals("chr5"):
            found[start // 1000 : -(-end // 1000)] = value
        wig.close()
        np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-5, atol=1e-6)
        bed = pd.read_csv(tmp_path / "bg" / text, sep="\t", header=None)
        bed = bed[bed[0] == "chr5"]
        found = np.zeros(180_916)
        for start, end, value in bed[[1, 2, 3]].itertuples(index=False):
            found[start // 1000 : -(-end // 1000)] = value
        np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-5, atol=1e-6)


def write_fragments(path, rows):
    text = "".join(f"{c}\t{s}\t{e}\t{b}\t1\n" for c, s, e, b in sorted(rows))
    path.write_bytes(gzip.compress(text.encode()))
    return path


@pytest.fixture
def tiny(tmp_path):
    file = write_fragments(tmp_path / "f.tsv.gz", [("chr1", 10, 60, "A"), ("chrM", 4, 9, "A")])
    return ad.AnnData(obs=pd.DataFrame({"type": ["x", "y"]}, index=["A", "B"])), file


@pytest.mark.filterwarnings("ignore:.*no fragment in it")
def test_export_without_an_assembly_and_of_a_type_without_fragments(tiny, tmp_path):
    big_wig = pytest.importorskip("pyBigWig")
    adata, file = tiny
    with pytest.warns(AnnatacWarning, match="assembly is not known"):
        table = tl.export_coverage(adata, file, tmp_path / "out", groupby="type", min_cells=1)
    assert table["n_fragments"].tolist() == [2, 0]
    wig = big_wig.open(str(tmp_path / "out" / "x.bw"))
    assert wig.chroms() == {"chr1": 60, "chrM": 9}
    assert wig.intervals("chr1") == ((0, 50, 250_000.0), (50, 60, 250_000.0)) or wig.intervals("chr1") == (
        (0, 60, 250_000.0),
    )
    wig.close()
    assert (tmp_path / "out" / "y.bw").is_file()


@pytest.mark.filterwarnings("ignore::annatac.errors.AnnatacWarning")
def test_export_bad_input_leaves_nothing(tiny, tmp_path):
    adata, file = tiny
    lengths = tmp_path / "g.sizes"
    lengths.write_text("chr1\t50\n")
    out = tmp_path / "out"
    options = {"groupby": "type", "min_cells": 1, "file_format": "bedgraph"}
    with pytest.raises(AssemblyError, match=r"ends at chr1:60, past the end .*50 bp"):
        tl.export_coverage(adata, file, out, genome=lengths, **options)
    assert not out.exists()
    lengths.write_text("chr1\t500\n")
    table = tl.export_coverage(adata, file, out, genome=lengths, **options)
    with gzip.open(out / table["file"][0], "rt") as text:
        assert text.read() == "chr1\t0\t100\t250000\n"
    with pytest.raises(OutputError, match="exists already"):
        tl.export_coverage(adata, file, out, genome=lengths, **options)
    with pytest.raises(ConfigError, match="Did you mean 'bigwig'"):
        tl.export_coverage(adata, file, out, file_format="bigwg")


def test_bad_regions(tiny):
    adata, file = tiny
    genes = pd.DataFrame({"chrom": ["1"], "start": [5], "end": [80], "symbol": ["CD19"], "strand": ["+"]})
    with pytest.raises(InputError, match="'CD19' is no region such as"):
        tl.coverage(adata, file, "CD19")
    with pytest.raises(InputError, match=r"No gene is called 'CD91'. Did you mean 'CD19'"):
        tl.coverage(adata, file, "CD91", genes=genes)
    with pytest.raises(InputError, match="ends before it begins"):
        tl.coverage(adata, file, "chr1:20-10")
    with pytest.raises(InputError, match="up to 20,000,000 can be drawn"):
        tl.coverage(adata, file, "chr1:0-30000000")
    with pytest.raises(ConfigError, match="Did you mean 'total'"):
        tl.coverage(adata, file, "chr1:0-30", normalise="totl")


def test_regions_and_genes_are_understood():
    genes = pd.DataFrame(
        {"chrom": ["1", "1"], "start": [5_000, 4_000], "end": [6_000, 5_500], "symbol": ["Cd4", "Cd4"]}
    )
    assert parse_region("CD4", genes=genes, flank_bp=100) == ("chr1", 3_900, 6_100, "Cd4")
    for text in ("chr1:1,000-2,000", "1:1000-2000", "chr1 1000 2000", "chr1:1_000..2_000"):
        assert parse_region(text)[:3] == ("chr1", 1000, 2000)
    assert parse_region("GL000009.2:1-2").chrom == "GL000009.2"


def test_merged():
    table = pd.DataFrame({"chrom": ["2", "1", "1", "1"], "start": [5, 30, 0, 8], "end": [6, 40, 20, 10]})
    assert merged(table).to_numpy().tolist() == [["chr1", 0, 20], ["chr1", 30, 40], ["chr2", 5, 6]]
    assert merged(table, gap_bp=10).to_numpy().tolist() == [["chr1", 0, 40], ["chr2", 5, 6]]


def test_missing_packages_name_their_extra(tiny, tmp_path, monkeypatch):
    import sys

    adata, file = tiny
    monkeypatch.setitem(sys.modules, "pyBigWig", None)
    with pytest.raises(MissingDependencyError, match=r"annatac\[bigwig\].*bedgraph"):
        tl.export_coverage(adata, file, tmp_path / "out")
    monkeypatch.setitem(sys.modules, "pyfaidx", None)
    (tmp_path / "g.fa").write_text(">chr1\nACGT\n")
    sites = pd.DataFrame({"chrom": ["chr1"], "start": [1], "end": [2]})
    with pytest.raises(MissingDependencyError, match=r"annatac\[motif\]"):
        tl.footprints(adata, file, sites, fasta=tmp_path / "g.fa")
