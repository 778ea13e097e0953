"""Fragments of known cells: how names are compared, and regions through the index."""

from __future__ import annotations

import gzip
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest

from annatac.errors import AnnatacWarning, InputError
from annatac.io.fragment_cells import CellFragmentReader
from annatac.io.safe_names import safe_names


def written(path, rows):
    text = "".join(f"{chrom}\t{start}\t{end}\t{barcode}\t1\n" for chrom, start, end, barcode in rows)
    path.write_bytes(gzip.compress(text.encode()))
    return path


@pytest.fixture
def file(tmp_path):
    rows = [("1", 10, 60, "AAC-1"), ("1", 20, 90, "GGT-1"), ("1", 30, 99, "TTT-1"), ("2", 5, 9, "AAC-1")]
    return written(tmp_path / "f.tsv.gz", rows)


@pytest.mark.parametrize(
    ("cells", "way"),
    [
        (["AAC-1", "GGT-1"], ""),
        (["AAC", "GGT"], "suffix"),
        (["s1:AAC-1", "s1:GGT-1"], "sample in front"),
        (["s1#AAC-1", "s1#GGT-1"], "sample in front"),
        (["my_sample_AAC", "my_sample_GGT"], "sample in front and the suffix"),
    ],
)
def test_names_are_reconciled(file, cells, way):
    reader = CellFragmentReader(file, cells)
    parts = list(reader.read())
    assert way in reader.way
    assert [part.chrom for part in parts] == ["chr1", "chr2"]
    assert parts[0].cell.tolist() == [0, 1]
    assert parts[0].start.tolist() == [10, 20]
    assert parts[1].end.tolist() == [9]
    assert (reader.n_fragments, reader.n_matched) == (4, 3)
    assert reader.has_fragments.all()


def test_no_match_shows_examples_of_both(file):
    with pytest.raises(
        InputError, match=r"None of the 3 barcodes .*'[ACGT]+-1', .* cells are like 'C1', 'C2'"
    ):
        CellFragmentReader(file, ["C1", "C2"])


def test_two_samples_need_two_files(file):
    with pytest.raises(InputError, match=r"several cells have one name.*--fragments SAMPLE=FILE.*\{'SAMPLE'"):
        CellFragmentReader(file, ["a:AAC-1", "b:AAC-1"])


def test_two_barcodes_of_one_cell_are_refused(tmp_path):
    file = written(tmp_path / "f.tsv.gz", [("1", 1, 9, "AAC-1"), ("1", 2, 9, "AAC-2")])
    with pytest.raises(InputError, match=r"Two barcodes .*'AAC-[12]' and 'AAC-[12]', are the cell 'AAC'"):
        list(CellFragmentReader(file, ["AAC"]).read())


@pytest.mark.dataset("pbsmall_fragments")
def test_regions_through_the_index_are_those_of_the_stream(dataset_path, tmp_path, monkeypatch):
    pytest.importorskip("pysam")
    from annatac.io import fragment_index

    path = dataset_path("pbsmall_fragments")
    cells = [f"{kind}.{i}" for kind in "BMT" for i in range(1, 51)]
    regions = pd.DataFrame(
        {
            "chrom": ["11", "chr11", "chr5", "chr5"],
            "start": [60_000_000, 60_900_000, 130_000_000, 140_000_000],
            "end": [60_900_000, 65_000_000, 133_000_000, 140_100_000],
        }
    )
    looked_up = []
    monkeypatch.setattr(fragment_index, "_BYTES_A_REGION", 1 << 10)
    original = fragment_index._blocks_of
    monkeypatch.setattr(fragment_index, "_blocks_of", lambda *a: looked_up.append(1) or original(*a))

    def found(file):
        reader = CellFragmentReader(file, cells)
        rows = [
            (part.chrom, *row)
            for part in reader.read(regions)
            for row in zip(part.start.tolist(), part.end.tolist(), part.cell.tolist(), strict=True)
        ]
        chrom = regions["chrom"].str.removeprefix("chr").radd("chr")
        spans = list(zip(chrom, regions["start"], regions["end"], strict=True))
        return sorted(
            row for row in rows if any(row[0] == c and row[1] < e and row[2] > s for c, s, e in spans)
        ), len(rows)

    plain = tmp_path / "copy.tsv.gz"
    shutil.copy(path, plain)
    by_index, n_by_index = found(path)
    assert looked_up
    by_stream, n_by_stream = found(plain)
    assert by_index == by_stream
    assert len(by_index) > 100
    assert n_by_index < n_by_stream == 29_399


@pytest.mark.dataset("pbsmall_fragments")
def test_a_broken_index_is_not_trusted(dataset_path, tmp_path):
    pytest.importorskip("pysam")
    file = tmp_path / "f.tsv.gz"
    shutil.copy(dataset_path("pbsmall_fragments"), file)
    (tmp_path / "f.tsv.gz.tbi").write_bytes(b"no index")
    reader = CellFragmentReader(file, ["B.3", "M.37"])
    with pytest.warns(AnnatacWarning, match="cannot be used"):
        n = sum(
            len(part.start) for part in reader.read(pd.DataFrame({"chrom": ["5"], "start": [0], "end": [9]}))
        )
    assert n > 0


def test_safe_names():
    names = ["CMP/LMPP", "CMP LMPP", "cmp_lmpp", "L2/3", "../../etc", "", "CON", "β-cell", "CD4+ T"]
    slugs = safe_names(names)
    assert slugs[:4] == ["CMP_LMPP", "CMP_LMPP_2", "cmp_lmpp_3", "L2_3"]
    assert slugs[4] == "etc"
    assert slugs[8] == "CD4+_T"
    assert len({slug.lower() for slug in slugs}) == len(names)
    assert not any("/" in slug or slug.startswith(".") or not slug for slug in slugs)
    assert np.all([len(slug) < 70 for slug in safe_names(["x" * 500] * 3)])


def test_same_names_say_nothing(file):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(CellFragmentReader(file, ["AAC-1", "GGT-1"]).read())
