"""A number's spread in each type or sample: boxes of quartiles, whiskers from 5 to 95 %."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from annatac.report import svg

_ROW, _WIDTH = 24, 620
_STEPS = (1, 2, 3, 5)


def boxes(
    names: list[str],
    colors: list[str],
    quantiles: npt.NDArray[np.float64],
    *,
    words: str,
    floor: float | None = None,
) -> str:
    """Return a box for each name, on a logarithmic axis.

    Parameters
    ----------
    quantiles
        float64 (names, 5): 5, 25, 50, 75 and 95 %.
    floor
        A line at the fewest that a good cell has.
    """
    values = np.log10(np.maximum(quantiles, 1))
    low = float(np.floor(np.nanmin(values) * 10 - 0.5) / 10)
    high = float(np.ceil(np.nanmax(values) * 10 + 0.5) / 10)
    if floor is not None and floor >= 1:
        low = max(min(low, float(np.log10(floor)) - 0.05), 0.0)
    shown = [svg.shortened(name, 22) for name in names]
    left = max(map(svg.text_width, shown)) + 14
    across = _WIDTH - left - 24
    bottom = 6 + _ROW * len(names)

    def place(value: float) -> float:
        return left + (value - low) / max(high - low, 0.1) * across

    parts = []
    for tick in _log_ticks(low, high):
        x = place(float(np.log10(tick)))
        parts.append(svg.tag("line", x1=x, x2=x, y1=4, y2=bottom, stroke="var(--line)"))
        parts.append(svg.text(svg.short_number(tick), x, bottom + 12, anchor="middle", fill=svg.MUTED))
    for row, name in enumerate(shown):
        y = 6 + _ROW * (row + 0.5)
        parts.append(svg.text(name, left - 8, y, anchor="end"))
        q = [place(value) for value in values[row]]
        if not np.isfinite(q).all():
            continue
        said = f"{names[row]}: median {quantiles[row, 2]:,.0f}, 5 to 95 %: {quantiles[row, 0]:,.0f} to "
        parts.append(
            svg.tag(
                "g",
                svg.title(f"{said}{quantiles[row, 4]:,.0f}"),
                svg.tag("line", x1=q[0], x2=q[4], y1=y, y2=y, stroke=colors[row], stroke_width=2),
                svg.tag(
                    "rect", x=q[1], y=y - 7, width=max(q[3] - q[1], 1.0), height=14, fill=colors[row], rx=2
                ),
                svg.tag(
                    "line", x1=q[2], x2=q[2], y1=y - 8, y2=y + 8, stroke="var(--panel)", stroke_width=2.5
                ),
            )
        )
    if floor is not None and floor >= 1:
        x = place(float(np.log10(floor)))
        parts.append(
            svg.tag("line", x1=x, x2=x, y1=4, y2=bottom, stroke="currentColor", stroke_dasharray="5 3")
        )
        parts.append(svg.text(f"floor {floor:g}", x + 4, bottom - 8, fill=svg.MUTED))
    parts.append(svg.text(f"{words} (log scale)", left + across / 2, bottom + 32, anchor="middle"))
    return svg.picture(parts, width=_WIDTH, height=bottom + 44, label=f"{words} by group")


def _log_ticks(low: float, high: float) -> list[float]:
    candidates = [step * 10.0**power for power in range(0, 8) for step in _STEPS]
    inside = [value for value in candidates if low <= np.log10(value) <= high]
    if len(inside) > 8:
        inside = [
            value for value in inside if np.isclose(np.log10(value) % 1, 0) or value in (3, 30, 300, 3000)
        ]
    return inside
