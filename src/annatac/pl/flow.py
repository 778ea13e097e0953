"""Where the cells of each true type went, as bands (a Sankey diagram)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from annatac import keys
from annatac.pl.canvas import axes_or_new, figure_of
from annatac.pl.palette import type_colors
from annatac.pl.source import evaluation_of

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

    from annatac.benchmark import Evaluation

# inches
_ROW, _GAP, _BAR, _PAD, _HEAD = 0.17, 0.06, 0.14, 0.07, 0.32
_CHAR = 0.072  # an average character at 9 points
_FONT_POINTS = 9.0


def sankey(
    adata: AnnData | Evaluation, truth_key: str | None = None, *, min_cells: int = 1, ax: Axes | None = None
) -> Axes:
    """Draw the cells as bands from their true type (left) to their label (right), the novel class included.

    A band has the colour of its true type and the height of its number of cells. Both columns have the
    model's order, so that a correct annotation shows as level bands; types that the model does not know come
    last on the left, the novel class last on the right. Bars are spaced so that no label covers another.

    Parameters
    ----------
    adata
        Annotated cells, with ``truth_key``, or the result of ``annatac.evaluate``.
    truth_key
        Column of ``obs`` with the true types; not needed for an evaluation.
    min_cells
        Bands of fewer cells are left out (the bars keep their heights).
    ax
        Where to draw; a new figure otherwise.
    """
    evaluation = evaluation_of(adata, truth_key)
    flow = evaluation.flow.loc[:, evaluation.flow.sum(axis=0) > 0]
    texts = [
        [f"{_shown(str(name))}  {n:,}" for name, n in sizes.items()]
        for sizes in (flow.sum(axis=1), flow.sum(axis=0))
    ]
    heads = ("true type, cells", "annatac label, cells")
    margins = [
        max(len(text) for text in [*side, head + "  "]) * _CHAR + _PAD
        for side, head in zip(texts, heads, strict=True)
    ]
    ax = axes_or_new(ax, 3.4 + sum(margins), max(3.2, 0.8 + 1.9 * _ROW * max(flow.shape)))
    box, figure = ax.get_position(), figure_of(ax)
    width, height = box.width * figure.get_figwidth(), box.height * figure.get_figheight()
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    ax.set_axis_off()

    scale, row = _inches_a_cell(flow, height - _HEAD)
    tops = [_tops(flow.to_numpy().sum(axis=1 - side) * scale, row, _HEAD, height) for side in (0, 1)]
    x_bars = (margins[0], max(width - margins[1] - _BAR, margins[0] + 1.0))
    colors = type_colors([*evaluation.confusion.columns, *flow.index])
    _draw_bands(ax, flow, tops, (x_bars[0] + _BAR, x_bars[1]), scale, colors, min_cells)
    known = set(evaluation.confusion.columns)
    _draw_bars(ax, flow, texts, tops, x_bars, scale, min(1.0, row / _ROW) * _FONT_POINTS, colors, known)
    for x, words, side in (
        (x_bars[0] - _PAD, heads[0], "right"),
        (x_bars[1] + _BAR + _PAD, heads[1], "left"),
    ):
        ax.text(x, _HEAD * 0.45, words, ha=side, va="center", fontsize=_FONT_POINTS + 1, weight="bold")
    return ax


def _inches_a_cell(flow: pd.DataFrame, height: float) -> tuple[float, float]:
    """Return the largest scale at which both columns fit, and the inches kept for a label."""
    sides = [flow.sum(axis=1).to_numpy(), flow.sum(axis=0).to_numpy()]
    row = min(_ROW, 0.85 * height / max(flow.shape))
    low, high = 0.0, height / max(flow.to_numpy().sum(), 1)
    for _ in range(40):
        middle = (low + high) / 2
        needed = max(np.maximum(n * middle, row).sum() + min(_GAP, row / 3) * (len(n) - 1) for n in sides)
        low, high = (middle, high) if needed <= height else (low, middle)
    return low, row


def _tops(bars: np.ndarray, row: float, start: float, end: float) -> np.ndarray:
    """Return where each bar begins: centred in a slot of at least ``row``, the slots spread evenly."""
    slots = np.maximum(bars, row)
    space = (end - start - slots.sum()) / max(len(bars) - 1, 1)
    return start + np.cumsum(slots) - slots + space * np.arange(len(bars)) + (slots - bars) / 2


def _draw_bands(
    ax: Axes,
    flow: pd.DataFrame,
    tops: list[np.ndarray],
    x: tuple[float, float],
    scale: float,
    colors: dict[str, str],
    min_cells: int,
) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    counts = flow.to_numpy()
    from_y = tops[0][:, None] + scale * (np.cumsum(counts, axis=1) - counts)
    to_y = tops[1][None, :] + scale * (np.cumsum(counts, axis=0) - counts)
    middle = (x[0] + x[1]) / 2
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    for i, j in sorted(
        zip(*np.nonzero(counts >= max(min_cells, 1)), strict=True), key=lambda ij: -counts[ij]
    ):
        thick = counts[i, j] * scale
        y0, y1 = from_y[i, j], to_y[i, j]
        vertices = [(x[0], y0), (middle, y0), (middle, y1), (x[1], y1)]
        vertices += [(x[1], y1 + thick), (middle, y1 + thick), (middle, y0 + thick), (x[0], y0 + thick)]
        band = PathPatch(Path([*vertices, vertices[0]], codes), facecolor=colors[str(flow.index[i])])
        band.set(alpha=0.5, linewidth=0.4, edgecolor=colors[str(flow.index[i])])
        ax.add_patch(band)


def _draw_bars(
    ax: Axes,
    flow: pd.DataFrame,
    texts: list[list[str]],
    tops: list[np.ndarray],
    x_bars: tuple[float, float],
    scale: float,
    font_points: float,
    colors: dict[str, str],
    known: set[str],
) -> None:
    from matplotlib.patches import Rectangle

    for side, names in enumerate((flow.index, flow.columns)):
        sizes = flow.to_numpy().sum(axis=1 - side) * scale
        x = x_bars[side]
        for name, text, top, size in zip(names, texts[side], tops[side], sizes, strict=True):
            ax.add_patch(Rectangle((x, top), _BAR, size, facecolor=colors[str(name)], linewidth=0))
            ax.text(
                x - _PAD if side == 0 else x + _BAR + _PAD,
                top + size / 2,
                text,
                ha="right" if side == 0 else "left",
                va="center",
                fontsize=font_points,
                style="italic" if name not in known else "normal",
            )


def _shown(name: str) -> str:
    return "novel" if name == keys.NOVEL_LABEL else name
