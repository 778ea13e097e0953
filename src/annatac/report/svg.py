"""Pieces of SVG as text: every value is escaped here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import numpy as np

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
FONT_PX = 12
CHAR_PX = 7.2  # of a rather wide character at 12 px: no text is cut off, whatever the font
MUTED = "var(--muted)"
SMALLEST = 0.72  # a picture shrinks no further: its text would be too small to read


def tag(name: str, *children: str, **attributes: object) -> str:
    """Return one element; ``stroke_width=2`` becomes ``stroke-width="2"``, None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"


def text(content: object, x: float, y: float, *, anchor: str = "start", **attributes: object) -> str:
    """Return a line of text, its middle at ``y``."""
    attributes = {"fill": "currentColor", **attributes}
    return tag("text", escape(str(content)), x=x, y=y, dy="0.35em", text_anchor=anchor, **attributes)


def title(content: str) -> str:
    """Return the words shown where the mouse rests on an element, and read aloud."""
    return tag("title", escape(content))


def picture(parts: Iterable[str], *, width: float, height: float, label: str) -> str:
    """Return a whole picture: as wide as there is space, at most ``width`` px, at least what can be read."""
    return tag(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_text(width)} {_text(height)}",
        width=width,
        height=height,
        style=f"min-width:{SMALLEST * width:.0f}px",
        role="img",
        aria_label=label,
        font_family=FONT,
        font_size=FONT_PX,
    )


def text_width(content: str) -> float:
    """Return about how many px a text takes at 12 px."""
    return len(content) * CHAR_PX


def shortened(content: str, n_characters: int = 26) -> str:
    """Return a text of at most so many characters."""
    return content if len(content) <= n_characters else f"{content[: n_characters - 1]}…"


def type_color(code: int, names: list[str], novel: str) -> str:
    """Return the colour of a type by its number; the page defines it for light and dark."""
    return "var(--novel)" if names[code] == novel else f"var(--t{code % 24})"


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Return round numbers from ``low`` to ``high``, about ``n`` of them."""
    span = (high - low) or 1.0
    rough = span / max(n, 1)
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= rough * 0.999)
    first = np.ceil(low / step - 1e-9) * step
    return [float(value) + 0.0 for value in np.arange(first, high + step * 1e-6, step)]  # + 0.0: no -0


def short_number(value: float) -> str:
    """Return a number for an axis: 0.5, 300, 1.2k."""
    if abs(value) >= 1000:
        return f"{value / 1000:.4g}k"
    return f"{value:.4g}"


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float | np.floating) else str(value)
