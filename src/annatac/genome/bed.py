"""BED files: their lines, and their intervals as a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from annatac.errors import InputError
from annatac.genome.intervals import open_text


class BedLine(NamedTuple):
    """One interval: its line's number from 1, all its fields, and start and end in bp (0-based, half-open)."""

    number: int
    fields: list[str]
    start: int
    end: int


def bed_lines(path: str | Path, *, what: str = "interval") -> Iterator[BedLine]:
    """Yield the intervals of a BED file, plain or gzipped, in its order.

    Fields are separated by tabs, or by spaces where a line has too few tabs. Comments, ``track`` and ``browser`` lines
    and a header in the first line are left out.

    Parameters
    ----------
    what
        What messages call an interval: 'site', 'peak'.

    Raises
    ------
    MissingFileError, DamagedFileError
        The file does not exist, or is truncated.
    InputError
        No interval at all, or a line that is none; file and line are named.
    """
    found = False
    with open_text(path) as lines:
        for number, line in enumerate(lines, start=1):
            if line.startswith(("#", "track", "browser")) or not line.strip():
                continue
            fields = line.rstrip("\r\n").split("\t")
            if len(fields) < 3:
                fields = line.split()
            try:
                start, end = int(fields[1]), int(fields[2])
            except (IndexError, ValueError):
                if number == 1:
                    continue  # a header line
                raise InputError(
                    f"{path}, line {number}: {line.strip()[:80]!r} is no {what}. Expected chromosome, start, end, "
                    "separated by tabs."
                ) from None
            if start < 0 or end <= start:
                raise InputError(
                    f"{path}, line {number}: start {start}, end {end}. Expected 0 <= start < end (0-based, half-open)."
                )
            found = True
            yield BedLine(number, fields, start, end)
    if not found:
        raise InputError(f"{path} holds no {what}. Expected lines of chromosome, start, end.")


def read_bed(path: str | Path) -> pd.DataFrame:
    """Return the intervals of a BED file, plain or gzipped.

    Returns
    -------
    DataFrame of n rows: chrom (str, as spelt in the file), start, end (int64, bp). No other column is read.

    Raises
    ------
    MissingFileError, DamagedFileError, InputError
        See :func:`bed_lines`.
    """
    rows = [(line.fields[0], line.start, line.end) for line in bed_lines(path)]
    chrom, start, end = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "chrom": np.array(chrom, dtype=object),
            "start": np.array(start, dtype=np.int64),
            "end": np.array(end, dtype=np.int64),
        }
    )
