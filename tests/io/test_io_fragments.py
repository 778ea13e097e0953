"""Fragment files: counts equal to a pandas count, choice of barcodes, and every way they can be wrong."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from io_inputs import as_series, oracle_bins, oracle_peaks, write_fragments

from annatac import keys
from annatac.errors import AnnatacWarning, AssemblyError, DamagedFileError, InputError
from annatac.io import fragments as module
from annatac.io import read_one
from annatac.io.fragment_lines import parse_block
from annatac.io.fragments import read_fragments
from annatac.io.hash_table import HashTable
from annatac.io.insertions import Bins

HEADER = "# id=x\n# reference_path=/refs/refdata-cellranger-arc-GRCh38-2020-A-2.0.0\n# primary_contig=chr1\n"


@pytest.mark.parametrize("name", ["fragments.tsv", "fragments.tsv.gz"])
@pytest.mark.parametrize("columns", [4, 5])
@pytest.mark.parametrize("header", ["", HEADER])
def test_bins_equal_pandas(
    tmp_path: Path, fragments: pd.DataFrame, name: str, columns: int, header: str
) -> None:
    path = write_fragments(tmp_path / name, fragments, columns=columns, header=header)
    adata = read_one(path)
    pd.testing.assert_series_equal(as_series(adata), oracle_bins(fragments), check_names=False)
    assert adata.obs_names.tolist() == sorted(fragments["barcode"].unique())
    assert adata.X.dtype == np.int32
    assert adata.uns[keys.ISLANDS] == {"bin_size": 5000, "source": "fragments"}
    assert adata.uns.get(keys.GENOME) == ("hg38" if header else None)
    assert adata.var_names[0] == "chr1:0-5000"
    assert adata.var["chrom"].drop_duplicates().tolist() == ["chr1", "chr10", "GL000009.2"]
    assert adata.var["start"].dtype == adata.var["end"].dtype == np.int64


def test_small_blocks_give_the_same(
    tmp_path: Path, fragments: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_fragments(tmp_path / "fragments.tsv.gz", fragments)
    whole = read_one(path)

    lines = module.line_blocks
    monkeypatch.setattr(module, "line_blocks", lambda p, **_: lines(p, block_bytes=333))
    pd.testing.assert_series_equal(as_series(read_one(path)), as_series(whole))


def test_bgzip_members_padding_and_crlf(tmp_path: Path, fragments: pd.DataFrame) -> None:
    text = fragments.to_csv(sep="\t", header=False, index=False).replace("\n", "\r\n").encode()
    members = b"".join(gzip.compress(text[i : i + 1000]) for i in range(0, len(text), 1000))
    path = tmp_path / "fragments.tsv.gz"
    path.write_bytes(members + gzip.compress(b"") + bytes(512))
    pd.testing.assert_series_equal(as_series(read_one(path)), oracle_bins(fragments), check_names=False)


def test_last_line_without_newline_and_comment_between(tmp_path: Path, fragments: pd.DataFrame) -> None:
    lines = fragments.to_csv(sep="\t", header=False, index=False).splitlines()
    lines.insert(100, "# a\tcomment\twith\tfive\tcolumns")
    lines.insert(200, "")
    path = tmp_path / "fragments.tsv"
    path.write_text("\n".join(lines))
    pd.testing.assert_series_equal(as_series(read_one(path)), oracle_bins(fragments), check_names=False)


def test_peaks_equal_pandas_also_where_they_overlap(tmp_path: Path, fragments: pd.DataFrame) -> None:
    rng = np.random.default_rng(2)
    start = np.concatenate([rng.integers(0, 70_000, 60), rng.integers(99_980_000, 100_010_000, 40)])
    peaks = pd.DataFrame({"chrom": rng.choice(["chr1", "chr10", "chrX"], 100), "start": start})
    peaks["end"] = peaks["start"] + rng.choice([1, 500, 9000], 100)
    path = write_fragments(tmp_path / "fragments.tsv.gz", fragments)
    adata = read_one(path, peaks=peaks)
    np.testing.assert_array_equal(adata.X.toarray(), oracle_peaks(fragments, peaks).to_numpy())
    assert keys.ISLANDS not in adata.uns
    pd.testing.assert_frame_equal(adata.var.reset_index(drop=True), peaks)
    bed = tmp_path / "peaks.bed"
    peaks.assign(chrom=peaks["chrom"].str.removeprefix("chr")).to_csv(
        bed, sep="\t", header=False, index=False
    )
    np.testing.assert_array_equal(read_one(path, peaks=bed).X.toarray(), adata.X.toarray())


@pytest.mark.dataset("pbsmall_fragments")
def test_pbsmall_equals_pandas_to_the_digit(dataset_path: Callable[[str], Path]) -> None:
    path = dataset_path("pbsmall_fragments")
    table = pd.read_csv(
        path, sep="\t", header=None, comment="#", names=["chrom", "start", "end", "barcode", "n"]
    )
    assert len(table) == 29_399
    pd.testing.assert_series_equal(as_series(read_one(path)), oracle_bins(table), check_names=False)
    edges = table.groupby("chrom")["start"].quantile(np.linspace(0.02, 0.95, 40)).astype(int).reset_index()
    peaks = pd.DataFrame({"chrom": edges["chrom"], "start": edges["start"], "end": edges["start"] + 2000})
    np.testing.assert_array_equal(
        read_one(path, peaks=peaks).X.toarray(), oracle_peaks(table, peaks).to_numpy()
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["chr1", "chr2", "a_very_long_scaffold_name_1", "a_very_long_scaffold_name_2"]),
            st.integers(0, 9_999_999_999 - 5000),
            st.integers(1, 4000),
            st.sampled_from(["A", "AAAAAAAA", "AAAAAAAAA", "AAAAAAAA-1", "é", "AAAACCCCGGGGTTTT-1"]),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_parsed_block_equals_its_lines(rows: list[tuple[str, int, int, str]]) -> None:
    text = "".join(f"{c}\t{s}\t{s + w}\t{b}\t1\n" for c, s, w, b in rows).encode()
    block = parse_block(text, Path("x"), 1)
    assert block is not None
    assert block.start.tolist() == [s for _, s, _, _ in rows]
    assert block.end.tolist() == [s + w for _, s, w, _ in rows]
    assert [block.barcode(i) for i in range(len(rows))] == [b for *_, b in rows]
    assert np.repeat(block.chroms, np.diff(block.chrom_start)).tolist() == [c for c, *_ in rows]
    for (chrom, start, width, barcode), hashed in zip(rows, block.barcode_hash, strict=True):
        alone = parse_block(f"{chrom}\t{start}\t{start + width}\t{barcode}\n".encode(), Path("x"), 1)
        assert alone is not None
        assert alone.barcode_hash[0] == hashed  # whatever else is in the block


def test_barcodes_from_lists_tables_and_minimum(tmp_path: Path, fragments: pd.DataFrame) -> None:
    path = write_fragments(tmp_path / "fragments.tsv.gz", fragments)
    names = sorted(fragments["barcode"].unique())
    chosen = [names[7], names[2], names[5]]
    expected = oracle_bins(fragments[fragments["barcode"].isin(chosen)])

    listed = tmp_path / "cells.txt"
    listed.write_text("barcode\n" + "\n".join(chosen))
    atac = tmp_path / "table.csv"
    rows = [f"{n},9,{int(n in chosen)}" for n in ["NO_BARCODE", *names]]
    atac.write_text("\n".join(["barcode,total,is__cell_barcode", *rows]))
    arc = tmp_path / "arc.csv"
    arc.write_text("\n".join(["barcode,gex_barcode,is_cell", *[f"{n},x,{int(n in chosen)}" for n in names]]))
    for given_as in (chosen, listed, atac, arc):
        adata = read_one(path, barcodes=given_as)
        pd.testing.assert_series_equal(as_series(adata), expected, check_names=False)
    assert read_one(path, barcodes=listed).obs_names.tolist() == chosen

    per_cell = fragments.groupby("barcode").size()
    rich = read_one(path, min_fragments=int(per_cell.median()))
    assert rich.obs_names.tolist() == per_cell.index[per_cell >= int(per_cell.median())].tolist()
    with pytest.warns(AnnatacWarning, match="1 of the 2 chosen barcodes are not in"):
        assert read_one(path, barcodes=[names[0], "nobody-1"]).n_obs == 1
    with pytest.raises(InputError, match=r"None of the 1 chosen barcodes.*Check the suffix"):
        read_one(path, barcodes=["nobody-1"])
    with pytest.raises(InputError, match="Lower the minimum"):
        read_one(path, min_fragments=10**6)


def test_cells_called_beside_the_file_are_used_and_said(tmp_path: Path, fragments: pd.DataFrame) -> None:
    path = write_fragments(tmp_path / "fragments.tsv.gz", fragments)
    names = sorted(fragments["barcode"].unique())
    rows = [f"{n},{int(i < 4)}" for i, n in enumerate(names)]
    (tmp_path / "singlecell.csv").write_text("\n".join(["barcode,is__cell_barcode", *rows]))
    with pytest.warns(AnnatacWarning, match=r"singlecell\.csv calls cells"):
        assert read_one(path).obs_names.tolist() == names[:4]
    assert read_one(path, min_fragments=1).n_obs == len(names)
    assert read_one(tmp_path, min_fragments=1).n_obs == len(names)


def test_chrom_sizes_leave_out_and_refuse(tmp_path: Path, fragments: pd.DataFrame) -> None:
    path = write_fragments(tmp_path / "fragments.tsv.gz", fragments)
    adata = read_one(path, chrom_sizes={"chr1": 3 * 10**9})
    assert set(adata.var["chrom"]) == {"chr1"}
    first = int(np.argmax(((fragments["chrom"] == "chr1") & (fragments["end"] > 50_000)).to_numpy())) + 1
    with pytest.raises(AssemblyError, match=rf"line {first}: the fragment ends at .* behind the end of chr1"):
        read_one(path, chrom_sizes={"chr1": 50_000})


def test_many_poor_barcodes_are_pointed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annatac.io.fragments._MANY_BARCODES", 10)
    path = tmp_path / "fragments.tsv"
    path.write_text("".join(f"chr1\t{i}\t{i + 50}\tB{i}\t1\n" for i in range(20)))
    with pytest.warns(AnnatacWarning, match="most are empty droplets"):
        read_one(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\t5000\tx12\tB1\t1", r"line 43: not a fragment: 'chr1\\t5000\\tx12"),
        ("chr1\t-5\t12\tB1\t1", "line 43: not a fragment"),
        ("chr1\t5000\t\tB1\t1", "line 43: not a fragment"),
        ("chr1\t5000\t12345678901\tB1\t1", "line 43: not a fragment"),
        ("chr1\t5000\t5100\t\t1", "line 43: not a fragment"),
        ("\t5000\t5100\tB1\t1", "line 43: not a fragment"),
        ("chr1\t5000\t5000\tB1\t1", "line 43: the end 5000 is not behind the start 5000"),
        ("chr1\t5000\t4000\tB1\t1", "line 43: the end 4000 is not behind the start 5000"),
        ("chr1\t5000\t5100", "line 43: 3 columns found, 5 as in the lines before it expected"),
        ("chr1\t5000\t5100\tB1\t1\t+", "line 43: 6 columns found"),
        ("chr1\t10\t5100\tB1\t1", "line 43: not sorted, chr1:10 comes after chr1:4000"),
        ("chr0\t10\t5100\tB1\t1", "line 44: not sorted, chr1 comes back after chr0"),
    ],
)
@pytest.mark.parametrize("block", [None, 100])
def test_bad_lines_are_named(
    tmp_path: Path, line: str, message: str, block: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["# a comment", *(f"chr1\t{100 * i}\t{100 * i + 60}\tB{i % 3}\t1" for i in range(90))]
    lines.insert(42, line)
    path = tmp_path / "fragments.tsv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    if block is not None:
        blocks = module.line_blocks
        monkeypatch.setattr(module, "line_blocks", lambda p, **_: blocks(p, block_bytes=block))
    with pytest.raises(InputError, match=message) as caught:
        read_one(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2


def test_truncated_and_corrupt_gzip(tmp_path: Path, fragments: pd.DataFrame) -> None:
    path = write_fragments(tmp_path / "fragments.tsv.gz", fragments)
    whole = path.read_bytes()
    for n_bytes in (len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(
            DamagedFileError, match=r"in the middle of a gzip block.*copy or download it again"
        ):
            read_one(path)
    path.write_bytes(whole[:500] + b"\0" * 40 + whole[540:])
    with pytest.raises((DamagedFileError, InputError), match=r"damaged|not a fragment"):
        read_one(path)


@pytest.mark.dataset("pbsmall_fragments")
def test_bgzip_cut_between_blocks(tmp_path: Path, dataset_path: Callable[[str], Path]) -> None:
    whole = dataset_path("pbsmall_fragments").read_bytes()
    path = tmp_path / "fragments.tsv.gz"
    first = int.from_bytes(whole[16:18], "little") + 1
    path.write_bytes(whole[:first])
    with pytest.raises(DamagedFileError, match="in the middle of a line"):
        read_one(path)
    path.write_bytes(whole[:-28])  # all blocks, but not the one that says so
    with pytest.warns(AnnatacWarning, match="may be truncated"):
        assert read_one(path).X.sum() == 2 * 29_399


def test_no_fragments(tmp_path: Path) -> None:
    path = tmp_path / "fragments.tsv.gz"
    path.write_bytes(gzip.compress(b"# only\n# comments\n"))
    with pytest.raises(InputError, match="holds no fragments"):
        read_one(path)


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = module.line_blocks
    monkeypatch.setattr(module, "line_blocks", lambda p, **_: blocks(p, block_bytes=1 << 16))

    def peak(n: int) -> int:
        path = tmp_path / f"fragments{n}.tsv"
        with path.open("w") as file:
            for i in range(n):
                file.write(f"chr1\t{i % 5000 + i // 5000 * 5000}\t{i + 6000}\tB{i % 5}\t1\n")
        tracemalloc.start()
        read_fragments(path, features=Bins(5000))
        _, top = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return top

    small, large = peak(75_000), peak(300_000)
    assert large < 1.2 * small


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(1, 60), max_size=30), max_size=8), st.integers(0, 2))
def test_hash_table_numbers_as_a_dictionary_does(batches: list[list[int]], crowding: int) -> None:
    table, known = HashTable(n_bits=3), {}
    spread = np.uint64((1, 1 << 58, 0x9E3779B97F4A7C15)[crowding])  # all in one slot, in a few, everywhere
    for batch in batches:
        hashes = np.array(batch, dtype=np.uint64) * spread
        assert table.find(hashes).tolist() == [known.get(h, -1) for h in hashes.tolist()]
        new = [h for h in dict.fromkeys(hashes.tolist()) if h and h not in known]
        known.update({h: len(known) + i for i, h in enumerate(new)})
        table.add(np.array(new, dtype=np.uint64))
    everything = np.array(list(known), dtype=np.uint64)
    assert table.find(everything).tolist() == list(range(len(known)))
