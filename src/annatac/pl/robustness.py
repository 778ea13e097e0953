"""What wrong labels, fewer labels or shallower cells cost each method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from annatac.benchmark.sets import set_title
from annatac.errors import ConfigError, InputError, nearest
from annatac.pl.canvas import axes_or_new
from annatac.pl.score_table import OURS, method_colors, runs_of, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class _Protocol(NamedTuple):
    words: str
    untouched: float  # the level at which nothing is changed


PROTOCOLS = {
    "label_noise": _Protocol("wrong labels, % of the reference", 0.0),
    "label_fraction": _Protocol("labelled cells, % of the reference", 1.0),
    "depth": _Protocol("fragments kept, % of the query", 1.0),
}


def robustness(
    table: pd.DataFrame | str | Path,
    kind: str = "label_noise",
    metric: str = "accuracy",
    *,
    set_name: str | None = None,
    methods: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a line a method: the figure against the level of a protocol, with the undisturbed split as its start.

    ``label_fraction`` is the learning curve. Dots are means over repeats and seeds, bars span the runs.

    Parameters
    ----------
    table
        Results of ``annatac benchmark --suite protocols`` (or of another suite with the protocol).
    kind
        'label_noise', 'label_fraction' or 'depth'.
    metric
        One of the table's metrics over all types.
    set_name
        Data set; the first of the table that has the protocol otherwise.
    methods
        Which; all that have the protocol otherwise.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    ConfigError, InputError
        An unknown protocol; the table does not hold it.
    """
    values = levels_of(table, kind, metric, set_name=set_name, methods=methods)
    names = list(dict.fromkeys(values["method"]))
    colors = method_colors(names)
    ax = axes_or_new(ax, 4.6, 3.4)
    for name in sorted(names, key=lambda name: name == OURS):
        mine = values[values["method"] == name].sort_values("level")
        spread = [mine["mean"] - mine["low"], mine["high"] - mine["mean"]]
        ax.errorbar(
            *(100 * mine["level"], mine["mean"], spread),
            color=colors[name],
            linewidth=2.2 if name == OURS else 1.3,
            marker="o",
            markersize=4,
            capsize=2,
            elinewidth=0.8,
            label=shown(name),
        )
    ax.set_xlabel(PROTOCOLS[kind].words)
    ax.set_ylabel(shown(metric))
    ax.set_title(set_title(str(values["set"].iloc[0])), fontsize=10)
    ax.yaxis.grid(True, color="#DDDDDD", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    handles, labels = ax.get_legend_handles_labels()
    order = [labels.index(shown(name)) for name in names]
    ax.legend([handles[i] for i in order], [labels[i] for i in order], frameon=False, fontsize=8)
    return ax


def levels_of(
    table: pd.DataFrame | str | Path,
    kind: str,
    metric: str,
    *,
    set_name: str | None = None,
    methods: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return ``set``, ``method``, ``level``, ``mean``, ``low``, ``high`` and ``n_runs``, a row a method and level.

    The undisturbed runs of the same set, of fold 0 and of the same seeds are the level 0 of wrong labels, and 1 of
    the others. ``low`` and ``high`` are the lowest and the highest run.
    """
    if kind not in PROTOCOLS:
        raise ConfigError(
            f"Protocol '{kind}' has no levels to draw; expected one of: {', '.join(PROTOCOLS)}."
            f"{nearest(kind, PROTOCOLS)}"
        )
    sets = None if set_name is None else [set_name]
    changed = runs_of(table, [metric], kind=kind, sets=sets, methods=methods)
    first = str(changed["set"].cat.categories[0])
    changed = changed[changed["set"] == first]
    names = [name for name in changed["method"].cat.categories if (changed["method"] == name).any()]
    try:
        whole = runs_of(table, [metric], sets=[first], methods=names)
    except InputError:  # the undisturbed runs are not in the table
        whole = changed[:0]
    whole = whole[(whole["fold"] == 0) & whole["seed"].isin(changed["seed"])]
    runs = pd.concat(
        [
            changed.astype({"method": object, "set": object}),
            whole.astype({"method": object, "set": object}).assign(level=PROTOCOLS[kind].untouched),
        ]
    )
    found = runs.groupby(["method", "level"], sort=False)["value"].agg(["mean", "min", "max", "size"])
    found = found.reset_index().rename(columns={"min": "low", "max": "high", "size": "n_runs"})
    found.insert(0, "set", first)
    found["method"] = pd.Categorical(found["method"], categories=names, ordered=True)
    return found.sort_values(["method", "level"]).astype({"method": object}).reset_index(drop=True)
