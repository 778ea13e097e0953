"""Cell types from a table of barcodes and types."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from annatac.errors import AnnatacWarning, LabelError
from annatac.genome.intervals import open_text
from annatac.io.barcodes import examples

_BARCODE_HEADERS = {
    "barcode",
    "barcodes",
    "cell",
    "cells",
    "cell_id",
    "cellid",
    "cell_barcode",
    "index",
    "name",
}
_BARCODE_HEADERS |= {"", "obs_names", "cell_name", "cellnames", "unnamed: 0", "x"}
_TYPE_HEADERS = {"cell_type", "celltype", "cell_types", "type", "label", "labels", "annotation", "cluster"}
_MISSING = {"", "na", "nan", "none", "n/a"}


def _without_suffix(name: str) -> str:
    return re.sub(r"-\d+$", "", name)


def _without_sample(name: str) -> str:
    """Remove what stands before the barcode: ``sample#``, ``sample:`` or ``sample_``."""
    return re.split(r"[#:_]", name)[-1]


_WAYS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("", str),
    ("without the suffix such as '-1'", _without_suffix),
    ("without the sample in front", _without_sample),
    (
        "without the sample in front and the suffix such as '-1'",
        lambda name: _without_suffix(_without_sample(name)),
    ),
)


def read_labels(path: str | Path, obs_names: Sequence[str]) -> pd.Series:
    """Return the type of every cell from a CSV or TSV of barcode and type; missing where none is given.

    Where barcodes do not agree as they stand, a common suffix such as ``-1`` or a sample in front
    (``sample#``, ``sample:``, ``sample_``) is put aside, if every cell is still told
    apart; a warning says so.

    Parameters
    ----------
    path
        Two columns, barcode and type, with or without a header, plain or gzipped. With more columns, a
        header must name them (``barcode`` and ``cell_type``, or the like).
    obs_names
        The cells.

    Returns
    -------
    Series of len(obs_names) str, index ``obs_names``; NaN for cells without a type.

    Raises
    ------
    LabelError
        Not such a table; one barcode with two types; no barcode in common (examples of both are shown);
        only after shortening, which makes several cells the same.
    MissingFileError, DamagedFileError
        No such file; a broken one.

    Warns
    -----
    AnnatacWarning
        Barcodes had to be shortened; some barcodes of the table are not among the cells.
    """
    path = Path(path)
    names = [str(name) for name in obs_names]
    barcodes, types = _table(path)
    best: tuple[int, str, list[str], list[str]] | None = None
    ambiguous = ""
    for way, shorten in _WAYS:
        keys, table_keys = [shorten(name) for name in names], [shorten(name) for name in barcodes]
        n_found = len(set(keys) & set(table_keys))
        if not n_found:
            continue
        if way and len(set(keys)) < len(set(names)):
            ambiguous = ambiguous or way
            continue
        if best is None or n_found > best[0]:
            best = (n_found, way, keys, table_keys)
    if best is None:
        why = (
            f"Only {ambiguous} do they agree, and then several cells have one name: add the sample to the "
            "table."
            if ambiguous
            else "Expected the same barcodes in both."
        )
        raise LabelError(
            f"None of the {len(barcodes):,} barcodes of {path} is among the {len(names):,} cells. The "
            "table has "
            f"names like {examples(barcodes)}, the cells are like {examples(names)}. {why}"
        )
    _, way, keys, table_keys = best
    type_of: dict[str, str] = {}
    for key, kind in zip(table_keys, types, strict=True):
        if type_of.setdefault(key, kind) != kind:
            raise LabelError(
                f"{path} gives the barcode '{key}'{f' ({way})' if way else ''} two types, '{type_of[key]}' "
                "and "
                f"'{kind}'. Expected one type a cell: correct the table."
            )
    if way:
        warnings.warn(f"Labels of {path} are matched to cells {way}.", AnnatacWarning, stacklevel=2)
    n_unknown = len(set(type_of) - set(keys))
    if n_unknown:
        warnings.warn(
            f"{n_unknown:,} of the {len(type_of):,} barcodes of {path} are not among the cells; their "
            "labels are "
            "not used.",
            AnnatacWarning,
            stacklevel=2,
        )
    found = [type_of.get(key, "") for key in keys]
    labels = [kind if kind.lower() not in _MISSING else np.nan for kind in found]
    return pd.Series(labels, index=pd.Index(obs_names), dtype=object, name="label")


def _table(path: Path) -> tuple[list[str], list[str]]:
    """Return the barcodes and the types of a table."""
    with open_text(path) as lines:
        rows = [row for row in lines if row.strip() and not row.startswith("#")]
    if not rows:
        raise LabelError(f"{path} is empty. Expected two columns, barcode and type.")
    separator = next((mark for mark in ("\t", ",", ";") if mark in rows[0]), None)
    if separator is None:
        raise LabelError(
            f"{path} has one column (its first line is {rows[0].strip()!r}). Expected two, barcode and type, "
            "separated by a comma or a tab."
        )
    table = [[field.strip() for field in row] for row in csv.reader(rows, delimiter=separator)]
    header = [name.lower() for name in table[0]]
    i_type = next((i for i, name in enumerate(header) if name in _TYPE_HEADERS), None)
    has_header = header[0] in _BARCODE_HEADERS or i_type is not None
    if has_header and len(header) + 1 == len(table[-1]):  # as R writes row names
        header = ["", *header]
        i_type = None if i_type is None else i_type + 1
    i_barcode = next((i for i, name in enumerate(header) if name in _BARCODE_HEADERS), 0)
    if len(header) == 2:
        i_barcode, i_type = (i_barcode, 1 - i_barcode) if has_header else (0, 1)
    if i_type is None or i_type == i_barcode:
        raise LabelError(
            f"{path} has {len(header)} columns ({', '.join(table[0][:6])}), and none says that it holds "
            "the types. "
            "Expected two columns, barcode and type, or a header with 'barcode' and 'cell_type'."
        )
    body = table[1:] if has_header else table
    width = max(i_barcode, i_type) + 1
    short = next((row for row in body if len(row) < width), None)
    if short is not None or not body:
        found = f"a row has {len(short)} column(s): {short}" if short is not None else "it has a header only"
        raise LabelError(f"{path} cannot be used: {found}. Expected barcode and type in every row.")
    return [row[i_barcode] for row in body], [row[i_type] for row in body]
