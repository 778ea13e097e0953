"""Coverage of a locus by cell type, with peaks and genes below (the paper's Fig. 4C)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from annatac.errors import ConfigError
from annatac.genome.annotation import as_genes
from annatac.genome.bed import read_bed
from annatac.genome.chroms import to_ucsc
from annatac.genome.regions import Region
from annatac.pl.canvas import axes_or_new, figure_of
from annatac.pl.gene_models import draw_genes, genes_in, pack_rows
from annatac.pl.palette import type_colors
from annatac.tl.fragments.locus_coverage import Coverage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TRACK_IN, _PEAKS_IN, _GENE_IN, _FRAME_IN, _WIDTH_IN = 0.42, 0.22, 0.3, 0.9, 8.0
_MAX_GENE_ROWS = 6
_FILL = 0.9  # of a track's height is the highest value


def tracks(
    coverage: Coverage,
    *,
    genes: str | Path | pd.DataFrame | None = None,
    peaks: str | Path | pd.DataFrame | None = None,
    y_max: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the coverage of a region as one track a cell type, all on one scale, with peaks and genes below.

    Parameters
    ----------
    coverage
        Result of ``annatac.tl.coverage``.
    genes
        GTF, GFF3 or BED file, or table (chrom, start, end, symbol, strand). Arrows point along the strand
        from the start site; names never cover each other, and where more than six rows would be needed the
        smallest genes are left out (the axis says how many).
    peaks
        BED file or table (chrom, start, end).
    y_max
        Upper end of every track's scale, in the coverage's unit; the highest value otherwise.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    ConfigError
        ``y_max`` is not above 0.
    """
    if y_max is not None and not y_max > 0:
        raise ConfigError(f"y_max is {y_max}; a number above 0 is expected.")
    region, n_types = coverage.region, len(coverage.types)
    mine = genes_in(as_genes(genes), region) if genes is not None else None
    width_in = _WIDTH_IN
    if ax is not None:
        box = ax.get_position()
        width_in = box.width * figure_of(ax).get_figwidth()
    elif mine is not None:
        width_in -= 1.2  # names of types take room on the left
    n_rows, n_hidden = 0, 0
    if mine is not None and len(mine):
        bp_a_point = (region.end - region.start) / (72 * width_in)
        mine = pack_rows(mine, region, bp_a_point=bp_a_point, max_rows=_MAX_GENE_ROWS)
        n_rows, n_hidden = int(mine["row"].max()) + 1, int((mine["row"] < 0).sum())
    height_in = n_types * _TRACK_IN + (peaks is not None) * _PEAKS_IN + n_rows * _GENE_IN
    ax = axes_or_new(ax, _WIDTH_IN, height_in + _FRAME_IN)

    top = y_max or float(coverage.values.max()) or 1.0
    _draw_tracks(ax, coverage, top)
    y = 0.0
    ticks, names = [n_types - 1 - i + 0.4 for i in range(n_types)], list(coverage.types)
    if peaks is not None:
        height = _PEAKS_IN / _TRACK_IN
        _draw_peaks(ax, peaks, region, y - 0.5 * height, 0.4 * height)
        ticks.append(y - 0.5 * height)
        names.append("peaks")
        y -= height
    if mine is not None and n_rows:
        height = _GENE_IN / _TRACK_IN
        draw_genes(ax, mine, region, top=y, height=height)
        ticks.append(y - 0.5 * n_rows * height)
        names.append("genes")
        y -= n_rows * height
    ax.set_xlim(region.start, region.end)
    ax.set_ylim(y - 0.05, n_types)
    ax.set_yticks(ticks, names, fontsize=9)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:,.{_decimals(region)}f}")
    hidden = f"; {n_hidden} genes not drawn" if n_hidden else ""
    ax.set_xlabel(f"position on {region.chrom} (Mb){hidden}", fontsize=9)
    ax.set_title(region.name or str(region), fontsize=11, loc="left")
    scale = f"{top:,.0f}" if top >= 100 else f"{top:.3g}"
    ax.set_title(f"each track 0 to {scale} {coverage.unit}", fontsize=8, loc="right", color="#555555")
    return ax


def _draw_tracks(ax: Axes, coverage: Coverage, top: float) -> None:
    colors = type_colors(coverage.type_order)
    n_types, n_bins = coverage.values.shape
    edges = coverage.region.start + coverage.bin_size * np.arange(n_bins + 1)
    edges[-1] = coverage.region.end
    for i, name in enumerate(coverage.types):
        base = float(n_types - 1 - i)
        height = np.minimum(coverage.values[i] / top, 1.0) * _FILL
        ax.stairs(base + height, edges, baseline=base, fill=True, color=colors[name], linewidth=0)
        ax.plot(
            [coverage.region.start, coverage.region.end],
            [base, base],
            color="#CCCCCC",
            linewidth=0.6,
            zorder=0,
        )


def _draw_peaks(ax: Axes, peaks: str | Path | pd.DataFrame, region: Region, y: float, height: float) -> None:
    table = peaks if isinstance(peaks, pd.DataFrame) else read_bed(peaks)
    near = (
        (to_ucsc(table["chrom"]) == region.chrom)
        & (table["end"] > region.start).to_numpy()
        & (table["start"] < region.end).to_numpy()
    )
    least = (region.end - region.start) / 800  # or a peak could be thinner than a dot
    spans = [
        (max(start, region.start), max(min(end, region.end) - max(start, region.start), least))
        for start, end in table.loc[near, ["start", "end"]].to_numpy()
    ]
    ax.broken_barh(spans, (y - height / 2, height), color="#7A7A7A", linewidth=0)


def _decimals(region: Region) -> int:
    """Return the digits after the point that tell ticks apart."""
    return int(np.clip(np.ceil(-np.log10((region.end - region.start) / 1e6 / 10)), 1, 6))
