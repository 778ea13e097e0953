"""Where the cells of each true type went, as bands (a Sankey diagram)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from annatac.report import svg

_ROW, _GAP, _BAR, _HEAD, _WIDTH = 17.0, 6.0, 13.0, 28.0, 760.0
_HEADS = ("true type, cells", "annatac label, cells")


def bands(
    rows: list[str],
    columns: list[str],
    row_colors: list[str],
    column_colors: list[str],
    counts: npt.NDArray[np.int64],
    *,
    label: str,
) -> str:
    """Return bands from rows (left) to columns (right), each as thick as it has cells.

    Parameters
    ----------
    counts
        int64 (rows, columns), every row and column with a cell.
    """
    sides = (counts.sum(axis=1), counts.sum(axis=0))
    names = [
        [f"{svg.shortened(name)} ({n:,})" for name, n in zip(listed, sizes, strict=True)]
        for listed, sizes in zip((rows, columns), sides, strict=True)
    ]
    height = max(260.0, _HEAD + 34.0 * max(counts.shape))
    scale = _scale(sides, height - _HEAD - 8)
    tops = [_tops(sizes * scale, height - 8) for sizes in sides]
    x0 = max(map(svg.text_width, [*names[0], _HEADS[0]])) + 12
    x1 = _WIDTH - max(map(svg.text_width, [*names[1], _HEADS[1]])) - 12 - _BAR
    from_y = tops[0][:, None] + scale * (np.cumsum(counts, axis=1) - counts)
    to_y = tops[1][None, :] + scale * (np.cumsum(counts, axis=0) - counts)
    middle = (x0 + _BAR + x1) / 2
    parts = [
        svg.text(_HEADS[0], x0 - 8, 10, anchor="end", font_weight=600),
        svg.text(_HEADS[1], x1 + _BAR + 8, 10, font_weight=600),
    ]
    for i, j in sorted(zip(*np.nonzero(counts), strict=True), key=lambda ij: -counts[ij]):
        thick, y0, y1 = counts[i, j] * scale, from_y[i, j], to_y[i, j]
        path = (
            f"M{x0 + _BAR:.1f} {y0:.2f}C{middle:.1f} {y0:.2f} {middle:.1f} {y1:.2f} {x1:.1f} {y1:.2f}"
            f"v{thick:.2f}C{middle:.1f} {y1 + thick:.2f} {middle:.1f} {y0 + thick:.2f} "
            f"{x0 + _BAR:.1f} {y0 + thick:.2f}Z"
        )
        said = f"{rows[i]} → {columns[j]}: {counts[i, j]:,} of {sides[0][i]:,} ({counts[i, j] / sides[0][i]:.1%})"
        parts.append(
            svg.tag("path", svg.title(said), d=path, fill=row_colors[i], fill_opacity=0.5, class_="band")
        )
    for side, (x, colors) in enumerate(((x0, row_colors), (x1, column_colors))):
        for top, size, words, color in zip(tops[side], sides[side] * scale, names[side], colors, strict=True):
            parts.append(svg.tag("rect", x=x, y=top, width=_BAR, height=max(size, 0.8), fill=color))
            at = x - 6 if side == 0 else x + _BAR + 6
            parts.append(svg.text(words, at, top + size / 2, anchor="end" if side == 0 else "start"))
    return svg.picture(parts, width=_WIDTH, height=height, label=label)


def _scale(sides: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], height: float) -> float:
    """Return the most px a cell at which both columns fit, with at least a text's height a bar."""
    low, high = 0.0, height / max(int(sides[0].sum()), 1)
    for _ in range(40):
        middle = (low + high) / 2
        needed = max(np.maximum(n * middle, _ROW).sum() + _GAP * (len(n) - 1) for n in sides)
        low, high = (middle, high) if needed <= height else (low, middle)
    return low


def _tops(sizes: npt.NDArray[np.float64], end: float) -> npt.NDArray[np.float64]:
    slots = np.maximum(sizes, _ROW)
    space = max((end - _HEAD - slots.sum()) / max(len(sizes) - 1, 1), 0.0)
    return _HEAD + np.cumsum(slots) - slots + space * np.arange(len(sizes)) + (slots - sizes) / 2
