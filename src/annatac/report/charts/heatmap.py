"""Shares of each row's cells as a grid of shaded fields with their numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from annatac.report import svg

_FIELD = 34


def heatmap(
    rows: list[str],
    columns: list[str],
    counts: npt.NDArray[np.int64],
    *,
    row_words: str,
    column_words: str,
    label: str,
    note: str = "",
) -> str:
    """Return a grid of the share of each row's cells, in percent, with a note below.

    Parameters
    ----------
    counts
        int64 (rows, columns).
    """
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    row_names = [f"{svg.shortened(name)} ({n:,})" for name, n in zip(rows, totals, strict=True)]
    column_names = [svg.shortened(name) for name in columns]
    left = max(map(svg.text_width, row_names)) + 34
    head = max(map(svg.text_width, column_names)) * 0.75 + 40
    lean = max(map(svg.text_width, column_names)) * 0.72
    parts = [
        svg.text(row_words, 12, head + _FIELD * len(rows) / 2, anchor="middle", font_weight=600,
                 transform=f"rotate(-90 12 {head + _FIELD * len(rows) / 2:.1f})"),
        svg.text(column_words, left, 10, font_weight=600),
    ]  # fmt: skip
    for column, name in enumerate(column_names):
        x = left + _FIELD * (column + 0.5)
        parts.append(svg.text(name, x, head - 8, transform=f"rotate(-45 {x:.1f} {head - 8:.1f})"))
    for row, name in enumerate(row_names):
        y = head + _FIELD * row
        parts.append(svg.text(name, left - 8, y + _FIELD / 2, anchor="end"))
        for column in range(len(columns)):
            share, x = float(shares[row, column]), left + _FIELD * column
            said = f"{rows[row]} called {columns[column]}: {counts[row, column]:,} of {totals[row]:,} ({share:.1%})"
            field = svg.tag(
                "rect",
                svg.title(said),
                x=x,
                y=y,
                width=_FIELD - 1,
                height=_FIELD - 1,
                fill="var(--heat)" if share else "var(--soft)",
                fill_opacity=0.04 + 0.96 * share**0.8 if share else None,
            )
            parts.append(field)
            if share >= 0.005:
                parts.append(
                    svg.text(
                        f"{share * 100:.0f}",
                        x + (_FIELD - 1) / 2,
                        y + (_FIELD - 1) / 2,
                        anchor="middle",
                        font_size=11,
                        fill="var(--onheat)" if share > 0.5 else "currentColor",
                        pointer_events="none",
                    )
                )
    bottom = head + _FIELD * len(rows)
    below = "percent of the row's cells" + (f"; {note}" if note else "")
    parts.append(svg.text(below, left, bottom + 14, fill=svg.MUTED))
    width = left + max(_FIELD * len(columns) + lean * 0.8, svg.text_width(below))
    return svg.picture(parts, width=width, height=bottom + 28, label=label)
