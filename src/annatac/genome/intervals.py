"""Genomic intervals: from names, tables and BED files. All are 0-based and half-open."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.errors import DamagedFileError, InputError, MissingFileError
from annatac.genome.chroms import to_ucsc

# 'chr1:1-2', 'chr1-1-2', 'chr1_1_2'; the chromosome takes all it can, so 'chrUn_KI270_v1_1_2' works too
_NAME = r"^(.+)[:\-_]([0-9]{1,12})[\-_]([0-9]{1,12})$"
_CHROM_COLUMNS = ("chrom", "chr", "chromosome", "seqnames", "seqname", "seqid")
_START_COLUMNS = ("start", "chromstart", "chrom_start")
_END_COLUMNS = ("end", "chromend", "chrom_end", "stop")


def parse_names(names: Iterable[str]) -> pd.DataFrame | None:
    """Return the coordinates that n feature names spell out, or None if most names spell out none.

    ``chr1:1-2``, ``chr1-1-2`` and ``chr1_1_2`` are understood, also ``GL000009.2:1-2`` and
    ``chrUn_KI270_v1_1_2``.

    Returns
    -------
    DataFrame of n rows with a fresh index: chrom (str), start, end (int64, bp). A name that does not parse,
    among a majority that do, has an empty chrom and start = end = -1.
    """
    series = pd.Series(list(names), dtype=object).astype(str)
    parts = series.str.extract(_NAME)
    parsed = parts[0].notna().to_numpy()
    start = np.full(len(series), -1, dtype=np.int64)
    end = start.copy()
    start[parsed] = parts.loc[parsed, 1].astype(np.int64)
    end[parsed] = parts.loc[parsed, 2].astype(np.int64)
    valid = parsed & (end > start)
    if 2 * int(valid.sum()) <= len(series):
        return None
    start[~valid] = end[~valid] = -1
    chrom = parts[0].where(valid, "").to_numpy(dtype=object)
    return pd.DataFrame({"chrom": chrom, "start": start, "end": end})


def intervals_of(var: pd.DataFrame) -> pd.DataFrame | None:
    """Return the coordinates of an AnnData's features, or None where they have none.

    Columns chrom (or chr, chromosome, seqnames) with start and end are taken first, then a column
    ``interval`` (10x), then the names.

    Returns
    -------
    As :func:`parse_names`, one row a feature.

    Raises
    ------
    InputError
        The columns are there, but an interval has a negative start or an end that is not after its start.
    """
    lower = {str(column).lower(): column for column in reversed(list(var.columns))}
    chosen = [
        next((lower[name] for name in options if name in lower), None)
        for options in (_CHROM_COLUMNS, _START_COLUMNS, _END_COLUMNS)
    ]
    if all(column is not None for column in chosen):
        table = _from_columns(var, *chosen)
        if table is not None:
            return table
    if "interval" in lower:
        table = parse_names(var[lower["interval"]].astype(str))
        if table is not None:
            return table
    return parse_names(var.index)


def _from_columns(var: pd.DataFrame, chrom: Any, start: Any, end: Any) -> pd.DataFrame | None:
    starts = pd.to_numeric(var[start], errors="coerce")
    ends = pd.to_numeric(var[end], errors="coerce")
    known = (starts.notna() & ends.notna() & var[chrom].notna()).to_numpy()
    if 2 * int(known.sum()) <= len(var):
        return None  # columns that say little (genes beside peaks): the names may say more
    table = pd.DataFrame(
        {
            "chrom": var[chrom].astype(str).where(known, "").to_numpy(dtype=object),
            "start": starts.where(known, -1).to_numpy().astype(np.int64),
            "end": ends.where(known, -1).to_numpy().astype(np.int64),
        }
    )
    bad = known & ((table["start"] < 0) | (table["end"] <= table["start"])).to_numpy()
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{int(bad.sum())} of {len(var)} features have impossible coordinates, first '{var.index[i]}': "
            f"start {table['start'][i]}, end {table['end'][i]}. Expected 0 <= start < end (0-based, "
            f"half-open): correct the columns '{start}' and '{end}' of var, or remove them so that the "
            "names are read."
        )
    return table


def island_names(chrom: npt.ArrayLike, start: npt.ArrayLike, end: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return n names such as 'chr1:0-5000' as an object array."""
    triples = zip(
        np.asarray(chrom, dtype=object).tolist(),
        np.asarray(start).tolist(),
        np.asarray(end).tolist(),
        strict=True,
    )
    names = [f"{c}:{s}-{e}" for c, s, e in triples]
    result = np.empty(len(names), dtype=object)
    result[:] = names
    return result


def overlaps_any(a: pd.DataFrame, b: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which of the n intervals ``a`` share a base with any of ``b`` (columns chrom, start, end).

    Chromosome naming is reconciled.
    """
    hit = np.zeros(len(a), dtype=bool)
    a_chrom, b_chrom = to_ucsc(a["chrom"]), to_ucsc(b["chrom"])
    a_start, a_end = a["start"].to_numpy(), a["end"].to_numpy()
    b_start, b_end = b["start"].to_numpy(), b["end"].to_numpy()
    rows_of_b = pd.Series(np.arange(len(b))).groupby(b_chrom).indices
    for chrom, rows in pd.Series(np.arange(len(a))).groupby(a_chrom).indices.items():
        if chrom not in rows_of_b:
            continue
        mine = rows_of_b[chrom]
        mine = mine[np.argsort(b_start[mine], kind="stable")]
        furthest = np.maximum.accumulate(b_end[mine])  # the furthest end among all that start before
        n_before = np.searchsorted(b_start[mine], a_end[rows], side="left")
        hit[rows] = (n_before > 0) & (furthest[np.maximum(n_before - 1, 0)] > a_start[rows])
    return hit


@contextmanager
def open_text(path: str | Path) -> Iterator[IO[str]]:
    """Open a plain or gzipped text file; a missing or damaged one raises an error that names it."""
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"{path} does not exist. Check the name and the working folder.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; a file is expected.")
    try:
        with path.open("rb") as handle:
            zipped = handle.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt") if zipped else path.open("rt") as text:
            yield text
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedFileError(
            f"{path} is truncated or damaged ({error}). Copy or download it again; `gzip -t` must accept it."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file ({error.reason}).") from error
