"""Genes of a region, drawn in rows so that no name covers another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from annatac.genome.chroms import to_ucsc
from annatac.genome.regions import Region

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FONT_POINTS = 8.0
_COLOR = "#1F2A44"
_GAP_POINTS = 6.0


def genes_in(genes: pd.DataFrame, region: Region) -> pd.DataFrame:
    """Return the genes that overlap a region, one row a symbol and strand: start, end, symbol, strand."""
    strand = genes["strand"] if "strand" in genes else pd.Series("+", index=genes.index)
    near = (
        (to_ucsc(genes["chrom"]) == region.chrom)
        & (genes["end"] > region.start).to_numpy()
        & (genes["start"] < region.end).to_numpy()
    )
    mine = genes.assign(strand=strand)[near]
    whole = mine.groupby(["symbol", "strand"], sort=False).agg(start=("start", "min"), end=("end", "max"))
    return whole.reset_index().sort_values("start", kind="stable", ignore_index=True)


def pack_rows(genes: pd.DataFrame, region: Region, *, bp_a_point: float, max_rows: int) -> pd.DataFrame:
    """Return the genes with ``row`` (0 = top) and ``x``, the middle of the name; row -1 where none is free.

    A gene takes the room of its visible body or of its name, whichever is wider. Longer genes choose first.
    """
    first = np.maximum(genes["start"], region.start).to_numpy(dtype=float)
    last = np.minimum(genes["end"], region.end).to_numpy(dtype=float)
    half = np.array([_width_points(str(name)) for name in genes["symbol"]]) * bp_a_point / 2
    middle = np.clip((first + last) / 2, region.start + half, np.maximum(region.end - half, region.start))
    low, high = np.minimum(first, middle - half), np.maximum(last, middle + half)
    gap = _GAP_POINTS * bp_a_point
    rows: list[list[int]] = []
    row_of = np.full(len(genes), -1)
    for i in np.argsort(-(last - first), kind="stable"):
        for number in range(max_rows):
            if number == len(rows):
                rows.append([])
            if all(high[i] + gap < low[j] or low[i] - gap > high[j] for j in rows[number]):
                rows[number].append(int(i))
                row_of[i] = number
                break
    return genes.assign(row=row_of, x=middle)


def draw_genes(ax: Axes, packed: pd.DataFrame, region: Region, *, top: float, height: float) -> None:
    """Draw packed genes below ``top``, each row ``height`` high: body, arrows along the strand, start, name."""
    length = region.end - region.start
    for gene in packed[packed["row"] >= 0].itertuples():
        y = top - (gene.row + 0.68) * height
        first, last = max(gene.start, region.start), min(gene.end, region.end)
        ax.plot([first, last], [y, y], color=_COLOR, linewidth=1.3, solid_capstyle="butt", zorder=3)
        n_arrows = int((last - first) / length * 40)
        at = np.linspace(first, last, n_arrows + 2)[1:-1] if n_arrows else np.empty(0)
        marker = 4 if gene.strand == "-" else 5  # carets to the left, to the right
        ax.plot(at, np.full(len(at), y), linestyle="", marker=marker, color=_COLOR, markersize=3, zorder=4)
        start = gene.end if gene.strand == "-" else gene.start
        if region.start <= start <= region.end:
            way = -1 if gene.strand == "-" else 1
            ax.annotate(
                "",
                xy=(start + way * 0.012 * length, y + 0.2 * height),
                xytext=(start, y + 0.2 * height),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": _COLOR,
                    "linewidth": 0.9,
                    "mutation_scale": 6,
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
                annotation_clip=False,
            )
            ax.plot([start, start], [y, y + 0.2 * height], color=_COLOR, linewidth=0.9, zorder=3)
        ax.text(
            gene.x,
            y + 0.26 * height,
            str(gene.symbol),
            ha="center",
            va="bottom",
            fontsize=FONT_POINTS,
            style="italic",
            color=_COLOR,
        )


def _width_points(text: str) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text:
        return 0.0
    return float(
        TextPath((0, 0), text, size=FONT_POINTS, prop=FontProperties(style="italic")).get_extents().x1
    )
