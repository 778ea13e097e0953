"""A motif as a sequence logo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from annatac.io.motif_files import Motif
from annatac.pl.canvas import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: A green, C blue, G orange, T vermilion (Okabe and Ito): the usual order, told apart by colour-blind readers.
BASE_COLORS = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00"}


def motif_logo(motif: Motif, *, reverse_complement: bool = False, ax: Axes | None = None) -> Axes:
    """Draw a motif: at each position the bases, as high as they are frequent, stacked to its information.

    The information is ``2 - H`` bits (Schneider and Stephens 1990) against even bases, without a correction for
    small samples.

    Parameters
    ----------
    motif
        As ``annatac.io.read_motifs`` returns.
    reverse_complement
        Draw the other strand.
    ax
        Where to draw; a new figure otherwise.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    p = motif.probabilities()
    if reverse_complement:
        p = p[::-1, ::-1]
    heights = p * information(p)[:, None]
    ax = axes_or_new(ax, 1.0 + 0.32 * motif.width, 2.0)
    glyphs = {
        base: TextPath((0, 0), base, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold"))
        for base in "ACGT"
    }
    for position, row in enumerate(heights):
        bottom = 0.0
        for i in np.argsort(row, kind="stable").tolist():
            base, height = "ACGT"[i], float(row[i])
            if height < 1e-3:
                continue
            box = glyphs[base].get_extents()
            place = (
                Affine2D()
                .translate(-box.x0, -box.y0)
                .scale(0.94 / box.width, height / box.height)
                .translate(position + 0.53, bottom)
            )
            ax.add_patch(PathPatch(place.transform_path(glyphs[base]), color=BASE_COLORS[base], linewidth=0))
            bottom += height
    ax.set_xlim(0.4, motif.width + 0.6)
    ax.set_ylim(0, 2)
    ax.set_yticks([0, 1, 2])
    step = 1 if motif.width <= 12 else 2 if motif.width <= 24 else 5
    ax.set_xticks(range(1, motif.width + 1, step))
    ax.set_xlabel("position (bp)")
    ax.set_ylabel("information (bits)")
    strand = ", reverse complement" if reverse_complement else ""
    ax.set_title(
        f"{motif.name} ({motif.id}{strand})" if motif.id != motif.name else motif.name + strand, fontsize=10
    )
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def information(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the information of each position in bits, 0 to 2, of float64 (width, 4)."""
    safe = np.where(probabilities > 0, probabilities, 1)
    return 2 + (probabilities * np.log2(safe)).sum(axis=1)
