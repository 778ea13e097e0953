"""A benchmark's results as tables on a terminal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from annatac.benchmark.results import CONDITION, means


def summary_tables(table: pd.DataFrame, compared: pd.DataFrame) -> Group:
    """Return the tables to print: means of each method on each condition, ours against the best rival."""
    summary = means(table, ("accuracy", "macro_f1", "calibration_error", "wall_s", "peak_mb"))
    parts: list[Table] = []
    for condition, rows in summary.groupby(list(CONDITION), sort=False):
        shown = Table(title=escape(condition_title(condition)), box=box.SIMPLE_HEAD, title_justify="left")
        heads = ("method", "accuracy", "macro-F1", "ECE", "s", "MiB", "runs", "failed")
        for head in heads:
            shown.add_column(head, justify="left" if head == "method" else "right")
        for row in rows.sort_values("macro_f1", ascending=False, na_position="last").itertuples():
            shown.add_row(
                str(row.method),
                *(_figure(x) for x in (row.accuracy, row.macro_f1, row.calibration_error)),
                *(_figure(x, 0) for x in (row.wall_s, row.peak_mb)),
                str(row.n_runs),
                str(row.n_failed or ""),
            )
        parts.append(shown)
    if len(compared):
        compared = compared[compared["kind"] == "split"]
    if len(compared):
        shown = Table(title="annatac against the best rival", box=box.SIMPLE_HEAD, title_justify="left")
        for head in ("set", "metric", "rival", "difference", "95 % interval", "p (cells)"):
            shown.add_column(head)
        for row in compared.itertuples():
            interval = f"{row.low:+.3f} to {row.high:+.3f}"
            shown.add_row(
                escape(str(row.set)),
                *(str(row.metric), str(row.rival), f"{row.difference:+.3f}", interval, f"{row.p_cells:.3f}"),
            )
        parts.append(shown)
    return Group(*parts)


def condition_title(condition: Any) -> str:
    """Return the words for a condition (set, kind, level, type)."""
    name, kind, level, held_type = condition
    words = {
        "split": "",
        "label_noise": f", {100 * level:g} % of the labels wrong",
        "label_fraction": f", {100 * level:g} % of the labels",
        "depth": f", {100 * level:g} % of the fragments",
        "rare": f", few cells of '{held_type}'",
        "held_out": f", without '{held_type}'",
    }
    return f"{name}{words[kind]}"


def _figure(value: float, digits: int = 3) -> str:
    return "-" if np.isnan(value) else f"{value:,.{digits}f}"
