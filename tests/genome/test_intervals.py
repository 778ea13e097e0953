from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annatac.errors import DamagedFileError, InputError, MissingFileError
from annatac.genome import intervals_of, island_names, overlaps_any, parse_names, read_bed

CHROMS = st.sampled_from(["chr1", "1", "X", "chrUn_KI270_v1", "GL000009.2", "GRCh38_chr7", "HLA-A*01:01"])


@pytest.mark.parametrize("name", ["chr1:10-20", "chr1-10-20", "chr1_10_20", "chr1:10_20"])
def test_every_style_of_name(name):
    table = parse_names([name])
    assert table is not None
    assert table.iloc[0].tolist() == ["chr1", 10, 20]
    assert table.dtypes.tolist() == [object, np.int64, np.int64]


def test_scaffolds_keep_their_underscores_and_dots():
    table = parse_names(["GL000009.2:1-2", "chrUn_KI270_v1_1_2", "chr1_KI270706v1_random-5-9"])
    assert table["chrom"].tolist() == ["GL000009.2", "chrUn_KI270_v1", "chr1_KI270706v1_random"]


@given(
    st.lists(
        st.tuples(CHROMS, st.integers(0, 10**9), st.integers(1, 10**6), st.sampled_from("-_")), min_size=1
    )
)
@settings(max_examples=50, deadline=None)
def test_what_is_written_is_read(rows):
    names = [f"{chrom}:{start}{sign}{start + width}" for chrom, start, width, sign in rows]
    table = parse_names(names)
    assert list(table.itertuples(index=False, name=None)) == [(c, s, s + w) for c, s, w, _ in rows]


def test_names_without_coordinates():
    assert parse_names(["CD19", "CD3E", "chr1:1-2"]) is None
    assert parse_names(["chr1:9-2", "chr1:5-5"]) is None  # an end before its start is no interval
    assert parse_names([]) is None


def test_a_stray_name_among_intervals():
    table = parse_names(["chr1:1-2", "MT-ND1", "chr1:3-4"])
    assert table.loc[1].tolist() == ["", -1, -1]


@pytest.mark.parametrize(
    "columns",
    [
        ("chrom", "start", "end"),
        ("seqnames", "start", "end"),
        ("Chromosome", "Start", "End"),
        ("chr", "chromStart", "chromEnd"),
    ],
)
def test_columns_come_before_names(columns):
    var = pd.DataFrame(dict(zip(columns, (["chr2"], [5], [9]), strict=True)), index=["chr1:1-2"])
    assert intervals_of(var).iloc[0].tolist() == ["chr2", 5, 9]


def test_the_interval_column_of_10x():
    var = pd.DataFrame({"gene_ids": ["x"], "interval": ["chr3:7-8"]}, index=["peak_a"])
    assert intervals_of(var).iloc[0].tolist() == ["chr3", 7, 8]


def test_columns_mostly_empty_leave_it_to_the_names():
    var = pd.DataFrame({"chrom": [None, None], "start": [np.nan] * 2, "end": [np.nan] * 2})
    var.index = ["chr1:1-2", "chr1:3-4"]
    assert intervals_of(var)["start"].tolist() == [1, 3]


def test_impossible_columns_are_named():
    var = pd.DataFrame({"chrom": ["chr1"] * 2, "start": [1, 50], "end": [5, 40]}, index=["a", "b"])
    with pytest.raises(InputError, match=r"1 of 2 features .* 'b': start 50, end 40"):
        intervals_of(var)


def test_island_names():
    assert island_names(["chr1", "chrX"], [0, 5], [5, 9]).tolist() == ["chr1:0-5", "chrX:5-9"]


TABLES = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 60), st.integers(1, 20)),
    min_size=1,
    max_size=25,
).map(lambda rows: pd.DataFrame([(c, s, s + w) for c, s, w in rows], columns=["chrom", "start", "end"]))


@given(TABLES, TABLES)
@settings(max_examples=30, deadline=None)
def test_overlaps_as_by_hand(a, b):
    expected = [
        any(x.chrom == y.chrom and x.start < y.end and y.start < x.end for y in b.itertuples())
        for x in a.itertuples()
    ]
    assert overlaps_any(a, b).tolist() == expected
    assert overlaps_any(a.assign(chrom=a["chrom"].str[3:]), b).tolist() == expected


@pytest.mark.parametrize("zipped", [False, True])
def test_bed(tmp_path, zipped):
    text = "track name=x\n#c\nchr1\t5\t9\tname\nchr2\t0\t1\n"
    path = tmp_path / "a.bed.gz"
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    assert read_bed(path).values.tolist() == [["chr1", 5, 9], ["chr2", 0, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t1\t2\nchr1\tx\t5\n", r"a\.bed, line 2: .* is no interval"),
        ("chr1\t1\t2\nchr1\t9\t5\n", r"a\.bed, line 2: start 9, end 5"),
        ("#nothing\n", "holds no interval"),
    ],
)
def test_bad_bed(tmp_path, text, message):
    path = tmp_path / "a.bed"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_bed(path)


def test_missing_and_truncated_bed(tmp_path):
    with pytest.raises(MissingFileError, match="does not exist"):
        read_bed(tmp_path / "no.bed")
    rows = "".join(f"chr1\t{i}\t{i * 7 % 1000 + i + 1}\n" for i in range(5000))
    whole = gzip.compress(rows.encode())
    (tmp_path / "cut.bed.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedFileError, match=r"cut\.bed\.gz is truncated"):
        read_bed(tmp_path / "cut.bed.gz")
