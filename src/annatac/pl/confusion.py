"""True types against predicted types, as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from annatac.pl.canvas import axes_or_new, figure_of
from annatac.pl.source import evaluation_of

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

    from annatac.benchmark import Evaluation

_WRITE_UP_TO = 25  # types; beyond, numbers in the cells are too small to read


def confusion_matrix(
    adata: AnnData | Evaluation, truth_key: str | None = None, *, counts: bool = False, ax: Axes | None = None
) -> Axes:
    """Draw which type (columns, forced choice) the cells of each true type (rows) got.

    Types that the model does not know stand below a line: none of its columns is right for them.

    Parameters
    ----------
    adata
        Annotated cells, with ``truth_key``, or the result of ``annatac.evaluate``.
    truth_key
        Column of ``obs`` with the true types; not needed for an evaluation.
    counts
        Write cells instead of percentages of the row. The colour shows the share of the row in both cases.
    ax
        Where to draw; a new figure otherwise.
    """
    evaluation = evaluation_of(adata, truth_key)
    table, n_of_type = evaluation.confusion, evaluation.per_type["n"]
    known_rows = [name for name in table.index if evaluation.per_type.loc[name, "known"]]
    unknown_rows = [name for name in table.index if name not in known_rows]
    columns = [name for name in table.columns if name in known_rows or table[name].sum() > 0]
    rows = columns + unknown_rows
    cells = table.reindex(index=rows, columns=columns, fill_value=0).to_numpy()
    total = cells.sum(axis=1, keepdims=True)
    share = np.divide(cells, total, out=np.full(cells.shape, np.nan), where=total > 0)

    longest = max(len(name) for name in rows)
    ax = axes_or_new(ax, 2.6 + 0.075 * longest + 0.42 * len(columns), 1.6 + 0.06 * longest + 0.38 * len(rows))
    ax.set_facecolor("#F2F2F2")  # a type without true cells has an empty row
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(rows)), [f"{name} ({n_of_type.get(name, 0):,})" for name in rows])
    ax.set_xlabel("best known type")
    ax.set_ylabel("true type (cells)")
    if unknown_rows:
        ax.axhline(len(columns) - 0.5, color="black", linewidth=1.2)
        for tick in ax.get_yticklabels()[len(columns) :]:
            tick.set_fontstyle("italic")
    ax.set_xticks(np.arange(-0.5, len(columns)), minor=True)
    ax.set_yticks(np.arange(-0.5, len(rows)), minor=True)
    ax.grid(which="minor", color="white", linewidth=1)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    if len(rows) <= _WRITE_UP_TO:
        for i, j in zip(*np.nonzero(cells), strict=True):
            text = f"{cells[i, j]:,}" if counts else _percent(share[i, j])
            color = "white" if share[i, j] > 0.55 else "black"
            ax.text(j, i, text, ha="center", va="center", fontsize=7.5, color=color)
    bar = figure_of(ax).colorbar(image, ax=ax, fraction=0.03, pad=0.02, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["0", "50", "100"])
    bar.set_label("% of the true type's cells")
    bar.outline.set_visible(False)  # type: ignore[operator]
    summary = evaluation.summary
    title = f"accuracy {summary['accuracy']:.3f}, macro-F1 {summary['macro_f1']:.3f}"
    ax.set_title(title, fontsize=10)
    return ax


def _percent(share: float) -> str:
    return "<1" if share < 0.005 else f"{100 * share:.0f}"
