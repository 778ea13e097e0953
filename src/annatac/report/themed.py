"""Figures of matplotlib as SVG in a page's own colours, so that they are read on light and dark pages."""

from __future__ import annotations

import hashlib
import io
import re
from html import escape
from typing import TYPE_CHECKING

from annatac.pl.canvas import figure_of, pyplot
from annatac.pl.palette import COLORS, NOVEL_COLOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK = "#010203"  # a colour that no plot uses: it stands for that of the page until the end
_STYLE = {
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.titlecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "svg.fonttype": "none",  # text stays text: it is found, read aloud, and as sharp as the page
    "svg.hashsalt": "annatac",  # the same figure gives the same file
    "font.sans-serif": ["DejaVu Sans", "Segoe UI", "Arial", "sans-serif"],
}


def drawing_style() -> dict[str, object]:
    """Return settings for ``matplotlib.rc_context`` under which a figure for :func:`themed_svg` is drawn."""
    return dict(_STYLE)


def themed_svg(ax: Axes, label: str) -> str:
    """Return the figure of ``ax`` as one SVG element and close it.

    Ink is the page's text colour, grids are its lines, and colours of the palette are its variables ``--t0`` and so
    on, which are lighter on a dark page.

    Parameters
    ----------
    label
        What the picture shows, for those who hear the page.
    """
    figure = figure_of(ax)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None})
    pyplot().close(figure)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    prefix = f"p{hashlib.sha256(svg.encode()).hexdigest()[:8]}-"
    for color, variable in _variables().items():
        svg = re.sub(re.escape(color), variable, svg, flags=re.IGNORECASE)
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)  # several pictures share a page: their ids must differ
    svg = re.sub(r'href="#', f'href="#{prefix}', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)


def _variables() -> dict[str, str]:
    found = {color: f"var(--t{i})" for i, color in enumerate(COLORS)}
    return {
        _INK: "currentColor",
        "#000000": "currentColor",
        "#dddddd": "var(--line)",
        "#bbbbbb": "var(--line)",
        NOVEL_COLOR: "var(--novel)",
        **found,
    }
