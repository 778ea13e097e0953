"""Quality of fragments: enrichment at start sites, and the ladder of fragment sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from annatac import keys
from annatac.errors import InputError, LabelError, nearest
from annatac.pl.canvas import axes_or_new, pyplot
from annatac.pl.footprint_plot import running_mean
from annatac.pl.palette import type_colors
from annatac.tl.fragments.quality import CENTRE_BP, MONONUCLEOSOME_BP, NUCLEOSOME_FREE_BP, OUTER_BP

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_FEW_FRAGMENTS = 100_000  # of a type: fewer are drawn smoothed
_SMOOTH_BP = 11  # a helix turns in 10.5


def tss_profile(
    adata: AnnData, *, types: list[str] | None = None, smooth_bp: int = 21, ax: Axes | None = None
) -> Axes:
    """Draw the insertions around transcription start sites by cell type, over those in the outer flank.

    Parameters
    ----------
    adata
        Cells with ``uns['annatac_fragment_qc']``, which ``annatac.tl.fragment_qc`` writes with ``genes``.
    types
        Only these types.
    smooth_bp
        Width of the running mean, in bp.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    InputError
        There are no profiles yet.
    LabelError
        There is no such type (the nearest is named).
    """
    found = _result(adata)
    pyplot()  # a clear error where matplotlib is missing
    from matplotlib.ticker import MultipleLocator

    if "tss_insertions" not in found:
        raise InputError(
            "There are no start-site profiles. Compute them with a table of genes: "
            "annatac.tl.fragment_qc(adata, fragments, genes='genes.gtf.gz')."
        )
    x = np.asarray(found["position"])
    flank = int(x.max())
    ax = axes_or_new(ax, 6.4, 3.6)
    names = [str(name) for name in found["types"]]
    colors = type_colors([str(name) for name in found.get("type_order", names)])
    for t in _rows(names, types):
        n = np.asarray(found["tss_insertions"][t], dtype=float)
        outer = n[np.abs(x) > flank - OUTER_BP].mean()
        if outer == 0:
            continue
        fold = n / outer
        score = fold[np.abs(x) <= CENTRE_BP].mean()
        ax.plot(
            x,
            running_mean(fold, smooth_bp),
            color=colors[names[t]],
            linewidth=1.2,
            label=f"{names[t]}  {score:.1f}",
        )
    ax.set_xlabel(f"distance from the start site (bp), mean over {smooth_bp} bp")
    ax.set_ylabel(f"insertions, fold over\nthe outer {OUTER_BP} bp")
    ax.xaxis.set_major_locator(MultipleLocator(max(flank // 2, 1)))
    ax.set_title(f"Start sites ({int(found['n_tss']):,})", fontsize=11)
    ax.set_ylim(bottom=0)
    ax.margins(x=0)
    _finish(ax, "cell type, enrichment", len(names))
    return ax


def fragment_sizes(adata: AnnData, *, types: list[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draw how long the fragments of each cell type are: the ladder of nucleosomes.

    A type's shares are means over 11 bp where it has under 100,000 fragments.

    Parameters
    ----------
    adata
        Cells with ``uns['annatac_fragment_qc']``, which ``annatac.tl.fragment_qc`` writes.
    types
        Only these types.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    InputError
        There are no sizes yet.
    LabelError
        There is no such type (the nearest is named).
    """
    found = _result(adata)
    sizes = np.asarray(found["fragment_sizes"], dtype=float)
    longest = sizes.shape[1] - 1
    ax = axes_or_new(ax, 6.4, 3.6)
    names = [str(name) for name in found["types"]]
    colors = type_colors([str(name) for name in found.get("type_order", names)])
    few = False
    for t in _rows(names, types):
        if sizes[t].sum() == 0:
            continue
        share = 100 * sizes[t, :longest] / sizes[t].sum()
        if sizes[t].sum() < _FEW_FRAGMENTS:
            few, share = True, running_mean(share, _SMOOTH_BP)
        ax.plot(np.arange(longest), share, color=colors[names[t]], linewidth=1.1, label=names[t])
    ax.set_xlim(0, longest)
    ax.set_ylim(bottom=0)
    top = ax.get_ylim()[1]
    for at in (NUCLEOSOME_FREE_BP, MONONUCLEOSOME_BP):
        ax.axvline(at, color="#BBBBBB", linewidth=0.8, linestyle=":", zorder=0)
    for at, words in ((95, "0"), (200, "1"), (400, "2"), (600, "3 nucleosomes")):
        if at < longest:
            ax.text(at, 1.04 * top, words, ha="center", va="bottom", fontsize=8, color="#666666")
    ax.set_ylim(0, top * 1.14)
    _draw_log_inset(ax, sizes, names, colors, _rows(names, types))
    ax.set_xlabel("fragment length (bp)" + (f", mean over {_SMOOTH_BP} bp" if few else ""))
    ax.set_ylabel("share of fragments (% a bp)")
    over = sizes[:, longest].sum() / max(sizes.sum(), 1)
    ax.set_title(f"{int(sizes.sum()):,} fragments, {over:.2%} of {longest:,} bp or longer", fontsize=11)
    _finish(ax, "cell type", len(names))
    return ax


def _draw_log_inset(
    ax: Axes, sizes: np.ndarray, names: list[str], colors: dict[str, str], rows: list[int]
) -> None:
    """Draw the same on a logarithmic scale, on which the higher rungs of the ladder are seen."""
    longest = sizes.shape[1] - 1
    inset = ax.inset_axes((0.44, 0.4, 0.54, 0.46))
    for t in rows:
        if sizes[t].sum() > 0:
            width = _SMOOTH_BP if sizes[t].sum() < _FEW_FRAGMENTS else 5
            share = running_mean(100 * sizes[t, :longest] / sizes[t].sum(), width)
            inset.plot(np.arange(longest), np.where(share > 0, share, np.nan), color=colors[names[t]], lw=0.8)
    inset.set_yscale("log")
    inset.set_xlim(0, longest)
    inset.tick_params(labelsize=7)
    inset.text(
        0.98,
        0.98,
        "logarithmic",
        transform=inset.transAxes,
        ha="right",
        va="top",
        fontsize=7.5,
        color="#666666",
    )
    inset.spines[["top", "right"]].set_visible(False)


def _result(adata: AnnData) -> dict[str, Any]:
    if keys.FRAGMENT_QC not in adata.uns:
        raise InputError(
            f"uns['{keys.FRAGMENT_QC}'] is missing. Compute it first: annatac.tl.fragment_qc(adata, fragments)."
        )
    return adata.uns[keys.FRAGMENT_QC]


def _rows(names: list[str], types: list[str] | None) -> list[int]:
    for name in types or []:
        if name not in names:
            raise LabelError(f"There is no type '{name}'.{nearest(name, names)} Types: {', '.join(names)}.")
    return [names.index(name) for name in types] if types else list(range(len(names)))


def _finish(ax: Axes, title: str, n_types: int) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(
            title=title,
            title_fontsize=8,
            fontsize=8,
            frameon=False,
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            borderaxespad=0,
            ncols=1 + n_types // 18,
        )
