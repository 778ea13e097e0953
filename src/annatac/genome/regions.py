"""Loci that a user names, and intervals put together."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from annatac.errors import InputError, nearest
from annatac.genome.chroms import to_ucsc

_LOCUS = re.compile(r"^\s*(.+?)[:\s]+([0-9][0-9,_]*)\s*(?:-|\.\.|\s)\s*([0-9][0-9,_]*)\s*$")


class Region(NamedTuple):
    """A locus: chromosome (UCSC name), 0-based half-open interval in bp, and the name it was asked by."""

    chrom: str
    start: int
    end: int
    name: str = ""

    def __str__(self) -> str:
        return f"{self.chrom}:{self.start:,}-{self.end:,}"


def parse_region(text: str, *, genes: pd.DataFrame | None = None, flank_bp: int = 10_000) -> Region:
    """Return the locus that ``chr1:1,000-2,000`` or the symbol of a gene names.

    Parameters
    ----------
    text
        Coordinates (0-based, half-open), or a gene's symbol, whatever its case.
    genes
        Columns chrom, start, end, symbol; needed for symbols.
    flank_bp
        Added on both sides of a gene (of the longest of its transcripts on its first chromosome).

    Raises
    ------
    InputError
        Neither coordinates nor a known gene (the nearest is named); an empty or reversed interval.
    """
    if match := _LOCUS.match(text):
        chrom = str(to_ucsc([match.group(1)])[0])
        start, end = (int(re.sub(r"[,_]", "", match.group(i))) for i in (2, 3))
        if end <= start:
            raise InputError(f"The region '{text}' ends before it begins. Expected chrom:start-end.")
        return Region(chrom, start, end)
    if genes is None:
        raise InputError(
            f"'{text}' is no region such as chr12:6,780,000-6,830,000. To name a gene, give the genes too: "
            "--gtf FILE (GTF, GFF3 or BED)."
        )
    symbols = genes["symbol"].astype(str)
    mine = genes[symbols == text]
    if mine.empty:
        mine = genes[symbols.str.upper() == text.upper()]
    if mine.empty:
        raise InputError(f"No gene is called '{text}'.{nearest(text, symbols.unique())}")
    mine = mine[mine["chrom"] == mine["chrom"].iloc[0]]
    return Region(
        str(to_ucsc([mine["chrom"].iloc[0]])[0]),
        max(0, int(mine["start"].min()) - flank_bp),
        int(mine["end"].max()) + flank_bp,
        str(mine["symbol"].iloc[0]),
    )


def merged(intervals: pd.DataFrame, *, gap_bp: int = 0) -> pd.DataFrame:
    """Return intervals (chrom, start, end) united where they overlap or lie within ``gap_bp``.

    Returns
    -------
    DataFrame sorted by chromosome (UCSC names, as text) and start: chrom (str), start, end (int64).
    """
    table = pd.DataFrame(
        {
            "chrom": to_ucsc(intervals["chrom"]),
            "start": intervals["start"].to_numpy(dtype=np.int64),
            "end": intervals["end"].to_numpy(dtype=np.int64),
        }
    ).sort_values(["chrom", "start"], kind="stable", ignore_index=True)
    if table.empty:
        return table
    furthest = table.groupby("chrom")["end"].cummax().to_numpy()
    chrom, start = table["chrom"].to_numpy(), table["start"].to_numpy()
    new = np.ones(len(table), dtype=bool)
    new[1:] = (chrom[1:] != chrom[:-1]) | (start[1:] > furthest[:-1] + gap_bp)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(table)) - 1
    return pd.DataFrame({"chrom": chrom[first], "start": start[first], "end": furthest[last]})
