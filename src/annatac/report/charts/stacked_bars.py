"""Shares of the types in each sample."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from annatac.report import svg

_ROW, _BAR, _WIDTH = 30, 20, 760


def stacked_bars(
    rows: list[str], columns: list[str], colors: list[str], counts: npt.NDArray[np.int64], *, label: str
) -> str:
    """Return a bar of shares for each row, with a legend of the columns that have cells.

    Parameters
    ----------
    counts
        int64 (rows, columns).
    """
    shown = np.flatnonzero(counts.sum(axis=0))
    names = [svg.shortened(name, 22) for name in rows]
    totals = counts.sum(axis=1)
    left = max(70.0, max(map(svg.text_width, names)) + 12)
    right = svg.text_width(f"{totals.max():,} cells") + 14
    across = _WIDTH - left - right
    parts, y = [], 4.0
    for row, name in enumerate(names):
        parts.append(svg.text(name, left - 8, y + _BAR / 2, anchor="end"))
        x = left
        for column in shown:
            share = counts[row, column] / max(totals[row], 1)
            if not share:
                continue
            words = f"{rows[row]}: {columns[column]}, {counts[row, column]:,} cells ({share:.1%})"
            parts.append(
                svg.tag(
                    "rect",
                    svg.title(words),
                    x=x,
                    y=y,
                    width=share * across,
                    height=_BAR,
                    fill=colors[column],
                    stroke="var(--panel)",
                    stroke_width=0.8,
                )
            )
            x += share * across
        parts.append(svg.text(f"{totals[row]:,} cells", left + across + 8, y + _BAR / 2, fill=svg.MUTED))
        y += _ROW
    for value in (0, 0.25, 0.5, 0.75, 1):
        parts.append(svg.text(f"{value:.0%}", left + value * across, y + 6, anchor="middle", fill=svg.MUTED))
    parts.append(svg.text("share of the sample's cells", left + across / 2, y + 24, anchor="middle"))
    legend, height = _legend([(columns[c], colors[c]) for c in shown], y + 50)
    return svg.picture([*parts, *legend], width=_WIDTH, height=height, label=label)


def _legend(entries: list[tuple[str, str]], y: float) -> tuple[list[str], float]:
    parts, x = [], 8.0
    for name, color in entries:
        shown = svg.shortened(name, 30)
        wide = svg.text_width(shown) + 34
        if x + wide > _WIDTH and x > 8:
            x, y = 8.0, y + 20
        parts.append(svg.tag("rect", x=x, y=y - 6, width=12, height=12, rx=2, fill=color))
        parts.append(svg.text(shown, x + 17, y))
        x += wide
    return parts, y + 16
