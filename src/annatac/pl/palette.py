"""One colour a cell type, the same in every plot, told apart by colour-blind readers too."""

from __future__ import annotations

from collections.abc import Iterable

from annatac import keys

#: 24 colours. The first six are Okabe and Ito's; each further one is the colour farthest (CIELAB) from
#: all before it to the eye with normal, deuteranope and protanope vision at once (Machado et al. 2009).
#: Any two of the first 22 differ by at least 21, 15 and 12 units.
COLORS: tuple[str, ...] = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"),
    *("#7600FF", "#763B14", "#00EB89", "#143BB1", "#9D62FF", "#890076"),
    *("#9DEB62", "#FF144E", "#00EBFF", "#769DFF", "#89C49D", "#9D3B76"),
    *("#D800B1", "#62894E", "#EBD800", "#9D4E00", "#9DC462", "#3B3BD8"),
)
NOVEL_COLOR = "#404040"
MISSING_COLOR = "#D9D9D9"


def type_colors(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each name, by its place; the novel class is dark grey.

    Past 24 names the colours repeat: plots then rely on the written labels.
    """
    colors: dict[str, str] = {}
    for name in names:
        if name == keys.NOVEL_LABEL:
            continue
        if name not in colors:
            colors[name] = COLORS[len(colors) % len(COLORS)]
    return {**colors, keys.NOVEL_LABEL: NOVEL_COLOR}
