"""The islands that a call rests on, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from annatac.errors import ConfigError
from annatac.pl.canvas import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from annatac.tl.reasons.attribution_table import Attribution

_FOR, _AGAINST = "#D55E00", "#0072B2"


def attribution(
    found: Attribution,
    *,
    cell: str | None = None,
    cell_type: str | None = None,
    n_top: int = 15,
    ax: Axes | None = None,
) -> Axes:
    """Draw what the islands add to the call of a cell, or on average to the calls of a type.

    Of a cell the islands that matter most, for or against; of a type those that speak most for it, and the few
    that speak most against it.

    Parameters
    ----------
    found
        What ``annatac.tl.attribution`` returned.
    cell, cell_type
        One of them; the first type otherwise.
    n_top
        Bars, at most.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    ConfigError
        Both a cell and a type, or ``n_top`` not positive.
    InputError, LabelError
        The cell or the type is not explained.
    """
    if n_top < 1 or (cell is not None and cell_type is not None):
        raise ConfigError(f"n_top is {n_top}; expected 1 or more, and a cell or a type, not both.")
    against = found.parameters.get("against")
    over = f"over {against}" if against else "over the mean of the other types"
    if cell is not None:
        table = found.of_cell(cell)
        facts = found.cells.loc[cell]
        total, n_all, column = facts["logit"] - facts["baseline"], len(table), "contribution"
        title = f"{cell} called {facts['target']}: {total:+.2f} from {n_all:,} open islands"
        table = table.head(n_top).sort_values(column, ascending=False, kind="stable")
        rest = total - table[column].sum()
    else:
        name = found.targets[0] if cell_type is None else cell_type
        rows = found.rows_of(name)
        table, column = found.table(name, n_top=None), "mean_contribution"
        n_all = len(table)
        total = table[column].sum()
        n_against = min(max(n_top // 4, 1), int((table[column] < 0).sum()))
        n_for = min(n_top - n_against, int((table[column] > 0).sum()))
        table = pd.concat([table.head(n_for), table.tail(n_against)])
        rest = total - table[column].sum()
        title = f"{name} ({len(rows):,} cells): {total:+.2f} on average"
    value = table[column].to_numpy(np.float64)
    texts = [_words(row) for row in table.to_dict("records")]
    ax = axes_or_new(ax, 7.2, 1.6 + 0.24 * len(value))
    place = np.arange(len(value))
    ax.barh(place, value, color=[_FOR if v > 0 else _AGAINST for v in value], height=0.75)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(place, texts, fontsize=8)
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    n_rest = n_all - len(table)
    more = f"\n({n_rest:,} other islands together: {rest:+.2f})" if n_rest else ""
    ax.set_xlabel(f"contribution to the logit of the type,\n{over}{more}")
    ax.set_title(title, fontsize=10, loc="left")
    ax.spines[["top", "right", "left"]].set_visible(False)
    _legend(ax)
    return ax


def _words(row: dict) -> str:
    place = str(row["island"])
    share = f", open in {row['share_open']:.0%}" if "share_open" in row else ""
    return f"{row['gene']}  ({place}{share})" if row.get("gene") else f"{place}{share}"


def _legend(ax: Axes) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=_FOR, label="for"), Patch(color=_AGAINST, label="against")]
    ax.legend(handles=handles, frameon=False, fontsize=8, loc="lower right")
