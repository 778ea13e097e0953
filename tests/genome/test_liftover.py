from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from annatac.errors import AssemblyError, DamagedFileError, InputError, MissingFileError
from annatac.genome.intervals import parse_names
from annatac.genome.liftover import Liftover

# one -> two: a is 1,000 bp in both. Positions 100-200 go to 150-250, 220-300 to 250-330 (20 bp of a are gone);
# 600-700 go to b, turned: 600 is b's 499, 699 its 400. A weaker chain would take 150-220 to c.
LENGTHS = {"one": {"chr1": 1000, "chr2": 500}, "two": {"chr1": 1000, "chr2": 600, "chr3": 700}}
CHAIN = """\
chain 5000 chr1 1000 + 100 300 chr1 1000 + 150 330 1
100\t20\t0
80

chain 900 chr1 1000 + 600 700 chr2 600 - 100 200 2
100

# weaker, over the gap and a part of the first block
chain 100 chr1 1000 + 150 220 chr3 700 + 10 80 3
70
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "one_two.chain").write_text(CHAIN)
    for name, lengths in LENGTHS.items():
        (tmp_path / f"{name}.sizes").write_text("".join(f"{c}\t{n}\n" for c, n in lengths.items()))
    return tmp_path


@pytest.fixture
def there(files):
    return Liftover.read(
        files / "one_two.chain", source=str(files / "one.sizes"), target=str(files / "two.sizes")
    )


def test_positions_by_hand(there):
    at = [99, 100, 199, 200, 219, 220, 299, 300, 600, 699, 700]
    chrom, position, strand = there.positions(["chr1"] * len(at), at)
    assert list(zip(chrom, position.tolist(), strict=True)) == [
        ("", -1),
        ("chr1", 150),
        ("chr1", 249),
        ("chr3", 60),  # in the gap of the first chain: the weaker one takes it
        ("chr3", 79),
        ("chr1", 250),
        ("chr1", 329),
        ("", -1),
        ("chr2", 499),  # chr2 has 600 bp: 100 of the turned strand is 499
        ("chr2", 400),
        ("", -1),
    ]
    assert strand.tolist() == [1, 1, 1, 1, 1, 1, 1, 1, -1, -1, 1]
    assert (there.source, there.target) == ("one", "two")


def test_names_of_any_style_and_unknown_chromosomes(there):
    chrom, position, _ = there.positions(["1", "chr9", "MT"], [100, 100, 100])
    assert chrom.tolist() == ["chr1", "", ""]
    assert position.tolist() == [150, -1, -1]


def test_there_and_back(there):
    every = np.arange(1000)
    chrom, position, _ = there.positions(["chr1"] * 1000, every)
    found = (position >= 0) & (chrom != "chr3")
    back_chrom, back, _ = there.back().positions(chrom[found], position[found])
    assert set(back_chrom) == {"chr1"}
    np.testing.assert_array_equal(back, every[found])


def test_intervals_go_with_their_midpoint_and_keep_their_width(there):
    starts, ends = [110, 640, 0, 100], [120, 651, 250, 130]
    table = pd.DataFrame({"chrom": "chr1", "start": starts, "end": ends}, index=[3, 1, 2, 9])
    lifted = there.intervals(table)
    assert lifted.index.tolist() == [3, 1, 2, 9]
    assert lifted.to_numpy().tolist() == [
        ["chr1", 160, 170],
        ["chr2", 449, 460],  # bases 640..650 turned are 459..449
        ["chr1", 50, 300],
        ["chr1", 150, 180],
    ]
    over_the_end = pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [1399]})  # midpoint 699 -> chr2:400
    assert there.intervals(over_the_end).to_numpy().tolist() == [["chr2", 0, 600]]
    gone = pd.DataFrame({"chrom": ["chr1"], "start": [400], "end": [500]})
    assert there.intervals(gone).to_numpy().tolist() == [["", -1, -1]]


def test_gzipped_is_the_same(files, there):
    (files / "z.chain.gz").write_bytes(gzip.compress(CHAIN.encode()))
    sides = {"source": str(files / "one.sizes"), "target": str(files / "two.sizes")}
    zipped = Liftover.read(files / "z.chain.gz", **sides)
    np.testing.assert_array_equal(zipped.positions(["1"], [230])[1], there.positions(["1"], [230])[1])


def test_other_assemblies_are_refused(files):
    with pytest.raises(
        AssemblyError, match=r"leads from an unknown assembly to an unknown assembly.*hg19 and hg38 is"
    ):
        Liftover.read(files / "one_two.chain", source="hg19", target="hg38")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t1\t2\n", "line 1: .* does not belong in a chain file"),
        ("100\n", "line 1: '100' does not belong"),
        (CHAIN.replace("chr2 600 -", "chr2 600 ?"), "line 5: .* does not belong"),
        ("", "holds no chain"),
    ],
)
def test_no_chain_file(files, text, message):
    (files / "bad.chain").write_text(text)
    with pytest.raises(InputError, match=message):
        Liftover.read(files / "bad.chain", source="hg19", target="hg38")


def test_missing_and_truncated(files):
    with pytest.raises(MissingFileError, match="does not exist"):
        Liftover.read(files / "no.chain", source="hg19", target="hg38")
    (files / "cut.chain.gz").write_bytes(gzip.compress(CHAIN.encode() * 50)[:-20])
    with pytest.raises(DamagedFileError, match="truncated"):
        Liftover.read(files / "cut.chain.gz", source="hg19", target="hg38")


@pytest.mark.dataset("hg19_to_hg38_chain", "hg19_genes", "hg38_genes", "buenrostro2018_bm0828")
def test_real_chain_against_genes_of_both_assemblies(dataset_path, dataset):
    chain = dataset_path("hg19_to_hg38_chain")
    there = Liftover.read(chain, source="GRCh37", target="GRCh38")
    old, new = (
        dataset(name).drop_duplicates("symbol").set_index("symbol") for name in ("hg19_genes", "hg38_genes")
    )
    both = old.index.intersection(new.index)
    chrom, position, _ = there.positions(old.loc[both, "chrom"], old.loc[both, "tss"])
    near = (chrom == new.loc[both, "chrom"]) & (np.abs(position - new.loc[both, "tss"]) < 5000)
    assert near.mean() > 0.85  # the two annotations differ in more than their assembly
    peaks = parse_names(dataset("buenrostro2018_bm0828").var_names)
    lifted = there.intervals(peaks)
    kept = lifted["start"] >= 0
    assert kept.mean() > 0.999
    same = (there.back().intervals(lifted[kept]) == peaks[kept]).all(axis=1)
    assert same.mean() > 0.999  # turned ones of even width have another midpoint
