"""Labels from tables, matched to cells however the barcodes are written."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import pandas as pd
import pytest

from annatac.errors import AnnatacWarning, DamagedFileError, LabelError, MissingFileError
from annatac.io import read_labels

CELLS = ["AAAC-1", "AAAG-1", "AAAT-1", "AACC-1"]
ROWS = [("AAAT-1", "CMP/LMPP"), ("AAAC-1", "L2/3, deep"), ("AAAG-1", "NK")]
EXPECTED = ["L2/3, deep", "NK", "CMP/LMPP", None]


def _found(labels: pd.Series) -> list[str | None]:
    return [None if pd.isna(label) else label for label in labels]


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("header", [None, ("barcode", "cell_type"), ("", "x"), ("Cell", "Annotation")])
@pytest.mark.parametrize("gz", [False, True])
def test_two_columns(tmp_path: Path, separator: str, header: tuple[str, str] | None, gz: bool) -> None:
    rows = ([header] if header else []) + ROWS
    text = pd.DataFrame(rows).to_csv(sep=separator, header=False, index=False)
    path = tmp_path / "labels.csv"
    path.write_bytes(gzip.compress(text.encode()) if gz else text.encode())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = read_labels(path, CELLS)
    assert _found(labels) == EXPECTED
    assert labels.index.tolist() == CELLS


def test_more_columns_with_a_header(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("cell_type,n,barcode\n" + "".join(f'"{t}",3,{b}\n' for b, t in ROWS))
    assert _found(read_labels(path, CELLS)) == EXPECTED
    path.write_text('"n","cell_type"\n' + "".join(f'"{b}",3,"{t}"\n' for b, t in ROWS))  # R's row names
    assert _found(read_labels(path, CELLS)) == EXPECTED


@pytest.mark.parametrize(
    ("change", "cells", "said"),
    [
        (lambda b: b[:-2], CELLS, "without the suffix"),
        (lambda b: b, [c[:-2] for c in CELLS], "without the suffix"),
        (lambda b: b.replace("-1", "-2"), CELLS, "without the suffix"),
        (lambda b: b, [f"donor1:{c}" for c in CELLS], "without the sample in front"),
        (lambda b: f"S1#{b}", CELLS, "without the sample in front"),
        (lambda b: f"S1_{b[:-2]}", CELLS, "without the sample in front and the suffix"),
    ],
)
def test_suffix_and_sample_are_reconciled_and_said(
    tmp_path: Path, change, cells: list[str], said: str
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("".join(f'{change(b)},"{t}"\n' for b, t in ROWS))
    with pytest.warns(AnnatacWarning, match=f"matched to cells {said}"):
        labels = read_labels(path, cells)
    assert _found(labels) == EXPECTED
    assert labels.index.tolist() == cells


def test_ambiguous_barcodes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("AAAC-1,B\n")
    with pytest.raises(LabelError, match="several cells have one name: add the sample"):
        read_labels(path, ["s1:AAAC-1", "s2:AAAC-1"])
    path.write_text("AAAC-1,B\nAAAC-1,T\n")
    with pytest.raises(LabelError, match="'AAAC-1' two types, 'B' and 'T'"):
        read_labels(path, CELLS)


def test_no_barcode_in_common_shows_both(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("barcode,type\nTTTT-1,B\nTTTG-1,T\n")
    with pytest.raises(LabelError, match=r"None of the 2 .*'TTTT-1', 'TTTG-1'.*'AAAC-1', 'AAAG-1'"):
        read_labels(path, CELLS)


def test_unknown_barcodes_are_counted_and_missing_types_stay_missing(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("AAAC-1,B\nAAAG-1,NA\nAAAT-1,\nTTTT-1,T\n")
    with pytest.warns(AnnatacWarning, match="1 of the 4 barcodes"):
        assert _found(read_labels(path, CELLS)) == ["B", None, None, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("AAAC-1\nAAAG-1\n", "has one column"),
        ("barcode,cell_type\n", "a header only"),
        ("AAAC-1,B\nAAAG-1\n", "a row has 1 column"),
        ("AAAC-1,B,3\n", "3 columns.*none says that it holds the types"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(LabelError, match=message):
        read_labels(path, CELLS)


def test_missing_and_truncated(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        read_labels(tmp_path / "none.csv", CELLS)
    path = tmp_path / "labels.csv.gz"
    path.write_bytes(gzip.compress(b"AAAC-1,B\n" * 100)[:-9])
    with pytest.raises(DamagedFileError):
        read_labels(path, CELLS)
