"""Sites in the genome (of a motif, of start sites) and the Tn5 insertions around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.errors import InputError
from annatac.genome.bed import bed_lines
from annatac.genome.chroms import to_ucsc

Ints = npt.NDArray[np.int64]
SiteInput: TypeAlias = str | Path | pd.DataFrame | Mapping[str, str | Path | pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class Sites:
    """Sites of one or several sets (motifs), sorted by chromosome and position.

    ``centre`` (int64, 0-based) is the middle base, of an even width the left one of the two as read on the
    site's strand; ``minus`` (bool); ``set_of`` (int64) numbers ``names``; ``width_bp`` is the median width
    in each set; ``bounds`` maps a chromosome (UCSC name) to its rows.
    """

    names: list[str]
    width_bp: Ints
    chrom: npt.NDArray[Any]
    centre: Ints
    minus: npt.NDArray[np.bool_]
    set_of: Ints
    bounds: dict[str, slice]

    def __len__(self) -> int:
        return len(self.centre)

    @property
    def n_sites(self) -> Ints:
        """Number of sites in each set."""
        return np.bincount(self.set_of, minlength=len(self.names))

    def regions(self, flank_bp: int) -> pd.DataFrame:
        """Return the windows around the sites: chrom, start, end."""
        start = np.maximum(self.centre - flank_bp, 0)
        return pd.DataFrame({"chrom": self.chrom, "start": start, "end": self.centre + flank_bp + 1})


def read_sites(sites: SiteInput) -> Sites:
    """Return sites from a BED file or a table, or several of them by name.

    A table has chrom, start, end and, where known, strand; with a column ``motif`` it holds several sets. A
    BED file has the strand in its sixth column (or in its fifth, without a score); without one all are '+'.
    The same interval twice in one set counts once.

    Raises
    ------
    InputError
        No site, a line that is none (file and line are named), missing columns.
    MissingFileError, DamagedFileError
        The file does not exist, or is truncated.
    """
    tables: dict[str, pd.DataFrame] = {}
    for name, source in sites.items() if isinstance(sites, Mapping) else [("", sites)]:
        table = source if isinstance(source, pd.DataFrame) else _read_bed6(Path(source))
        missing = {"chrom", "start", "end"} - set(table.columns)
        if missing:
            raise InputError(
                f"The table of sites has the columns {', '.join(map(str, table.columns))}; expected chrom, "
                "start, end and, where known, strand and motif."
            )
        if "motif" in table:
            for motif, rows in table.groupby("motif", sort=False):
                tables[str(motif)] = rows
        else:
            tables[name or _name_of(source)] = table
    if not tables or not all(len(table) for table in tables.values()):
        raise InputError("There is no site. Expected intervals of chrom, start, end and strand.")
    parts = [_one_set(table, number) for number, table in enumerate(tables.values())]
    widths = np.array([int(part["width"].median()) for part in parts], dtype=np.int64)
    table = pd.concat(parts).sort_values(["chrom", "centre"], kind="stable", ignore_index=True)
    return Sites(
        names=list(tables),
        width_bp=widths,
        chrom=table["chrom"].to_numpy(dtype=object),
        centre=table["centre"].to_numpy(dtype=np.int64),
        minus=table["minus"].to_numpy(dtype=bool),
        set_of=table["set"].to_numpy(dtype=np.int64),
        bounds={
            str(chrom): slice(int(rows[0]), int(rows[-1]) + 1)
            for chrom, rows in table.groupby("chrom", sort=False).indices.items()
        },
    )


class SiteCounter:
    """Counts insertions by set, type and position relative to the site, in the direction of its strand.

    ``counts`` is int64, sets x groups x (2 * flank_bp + 1); ``by_site``, int32 sites x groups, is kept where
    it is asked for.
    """

    def __init__(self, sites: Sites, n_groups: int, flank_bp: int, *, by_site: bool = False):
        self.sites = sites
        self.flank_bp = flank_bp
        self.counts = np.zeros((len(sites.names), n_groups, 2 * flank_bp + 1), dtype=np.int64)
        self.by_site = np.zeros((len(sites), n_groups), dtype=np.int32) if by_site else None

    def add(self, chrom: str, position: Ints, group: Ints) -> tuple[Ints, Ints]:
        """Count insertions at ``position`` of ``group``; return the insertion and offset of every hit."""
        insertion, offset, site = self._hits(chrom, position)
        np.add.at(self.counts, (self.sites.set_of[site], group[insertion], offset + self.flank_bp), 1)
        if self.by_site is not None:
            np.add.at(self.by_site, (site, group[insertion]), 1)
        return insertion, offset

    def near(self, chrom: str, position: Ints) -> tuple[Ints, Ints]:
        """Return the insertion and offset of every hit, without counting them."""
        insertion, offset, _ = self._hits(chrom, position)
        return insertion, offset

    def _hits(self, chrom: str, position: Ints) -> tuple[Ints, Ints, Ints]:
        """Return every pair of an insertion and a site near it: insertion, strand-aware offset, site."""
        if chrom not in self.sites.bounds or not len(position):
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
        rows = self.sites.bounds[chrom]
        centre = self.sites.centre[rows]
        low = np.searchsorted(centre, position - self.flank_bp, side="left")
        n_hits = np.searchsorted(centre, position + self.flank_bp, side="right") - low
        insertion = np.repeat(np.arange(len(position)), n_hits)
        begin = np.cumsum(n_hits) - n_hits
        site = np.arange(len(insertion)) - np.repeat(begin - low, n_hits) + rows.start
        offset = position[insertion] - self.sites.centre[site]
        return insertion, np.where(self.sites.minus[site], -offset, offset), site


def _one_set(table: pd.DataFrame, number: int) -> pd.DataFrame:
    start, end = table["start"].to_numpy(dtype=np.int64), table["end"].to_numpy(dtype=np.int64)
    if (start < 0).any() or (end <= start).any():
        i = int(np.argmax((start < 0) | (end <= start)))
        raise InputError(f"A site has start {start[i]}, end {end[i]}. Expected 0 <= start < end.")
    minus = (
        (table["strand"].astype(str) == "-").to_numpy() if "strand" in table else np.zeros(len(table), bool)
    )
    left = (end - start - 1) // 2
    part = pd.DataFrame(
        {
            "chrom": to_ucsc(table["chrom"]),
            "centre": np.where(minus, end - 1 - left, start + left),
            "minus": minus,
            "width": end - start,
            "set": number,
        }
    )
    return part.drop_duplicates(["chrom", "centre", "minus", "width"])


def _name_of(source: Any) -> str:
    if isinstance(source, pd.DataFrame):
        return "sites"
    name = Path(source).name
    for ending in (".gz", ".bed", ".txt", ".tsv"):
        name = name.removesuffix(ending)
    return name


def _read_bed6(path: Path) -> pd.DataFrame:
    rows = []
    for line in bed_lines(path, what="site"):
        strand = next((field for field in (*line.fields[5:6], *line.fields[4:5]) if field in ("+", "-")), "+")
        rows.append((line.fields[0], line.start, line.end, strand))
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "strand"])
