"""How a number between 0 and 1 is spread over the cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from annatac.report import svg

_BINS = 25


def histogram(
    values: npt.NDArray[np.float32],
    *,
    words: str,
    color: str,
    threshold: float | None = None,
    threshold_words: str = "",
    width: int = 460,
    height: int = 230,
) -> str:
    """Return the cells in 25 steps from 0 to 1, with a line at ``threshold``."""
    counts, _ = np.histogram(np.clip(values, 0, 1), bins=_BINS, range=(0, 1))
    left, bottom, top = 56.0, 46.0, 22.0
    across, high = width - left - 14, height - bottom - top
    most = max(int(counts.max()), 1)
    parts = []
    for tick in svg.ticks(0, most, 4):
        if tick != int(tick):
            continue
        y = top + high * (1 - tick / most)
        parts.append(svg.tag("line", x1=left, x2=left + across, y1=y, y2=y, stroke="var(--line)"))
        parts.append(svg.text(svg.short_number(tick), left - 6, y, anchor="end", fill=svg.MUTED))
    step = across / _BINS
    for i, n in enumerate(counts):
        if n:
            tall = max(high * n / most, 1.0)
            said = f"{words} {i / _BINS:.2f} to {(i + 1) / _BINS:.2f}: {n:,} cells"
            parts.append(
                svg.tag(
                    "rect",
                    svg.title(said),
                    x=left + i * step + 0.5,
                    y=top + high - tall,
                    width=step - 1,
                    height=tall,
                    fill=color,
                )
            )
    for value in (0, 0.2, 0.4, 0.6, 0.8, 1):
        parts.append(
            svg.text(f"{value:g}", left + value * across, top + high + 13, anchor="middle", fill=svg.MUTED)
        )
    parts.append(svg.text(words, left + across / 2, height - 10, anchor="middle"))
    middle = top + high / 2
    parts.append(svg.text("cells", 12, middle, anchor="middle", transform=f"rotate(-90 12 {middle:.1f})"))
    if threshold is not None:
        x = left + threshold * across
        right = threshold > 0.6
        parts.append(
            svg.tag(
                "line",
                x1=x,
                x2=x,
                y1=top - 6,
                y2=top + high,
                stroke="currentColor",
                stroke_width=1.5,
                stroke_dasharray="5 3",
            )
        )
        parts.append(
            svg.text(threshold_words, x + (-5 if right else 5), 9, anchor="end" if right else "start")
        )
    return svg.picture(parts, width=width, height=height, label=f"Histogram of cells by {words}")
