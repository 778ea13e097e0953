"""An evaluation as tables on a terminal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

_SUMMARY = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "cohen_kappa": "Cohen's kappa",
    "jaccard_micro": "Jaccard, micro",
    "jaccard_weighted": "Jaccard, weighted",
    "accuracy_accepted": "accuracy on accepted cells",
    "share_rejected": "share rejected as novel",
    "share_rejected_unknown": "share rejected, types unknown to the model",
    "novelty_auroc": "AUROC of the novelty score",
    "safe_share_type": "safe label: share answered by a type",
    "safe_share_ancestor": "safe label: share answered by an ancestor",
    "safe_share_root": "safe label: share answered by the root alone",
    "safe_error": "safe label: error",
    "safe_information": "safe label: information, 0 to 1",
    "hierarchical_f1": "safe label: hierarchical F1",
}


def evaluation_tables(summary: dict[str, float], per_type: pd.DataFrame, by: pd.DataFrame | None) -> Group:
    """Return the tables to print: summary, cell types, types unknown to the model, groups.

    The arguments are those of :class:`annatac.benchmark.Evaluation`.
    """
    known = per_type[per_type["known"]]
    unknown = per_type[~per_type["known"]]
    parts: list[Text | Table] = [Text(_title(summary), style="italic"), _summary(summary)]
    columns = ["n", "precision", "recall", "f1", "share_novel"]
    parts.append(_table("By cell type (forced choice)", known[columns], "cell type"))
    if len(unknown):
        columns = ["n", "share_novel", "most_often"]
        parts.append(_table("Types that the model does not know", unknown[columns], "cell type"))
    if by is not None:
        columns = [
            "n_evaluated",
            "accuracy",
            "macro_f1",
            "cohen_kappa",
            "accuracy_accepted",
            "share_rejected",
        ]
        key = str(by.index.name)
        parts.append(_table(f"By {key}", by[columns], key))
    return Group(*parts)


def _title(summary: dict[str, float]) -> str:
    """Return the numbers of cells; not the table's own title, which wraps at the table's width."""
    title = f"{summary['n_evaluated']:,} cells of known types"
    if summary["n_unknown_type"]:
        title += f", {summary['n_unknown_type']:,} of types unknown to the model"
    if summary["n_unlabelled"]:
        title += f", {summary['n_unlabelled']:,} left out without a true type"
    return title


def _summary(summary: dict[str, float]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, words in _SUMMARY.items():
        if name in summary:
            table.add_row(words, _text(summary[name]))
    return table


def _table(title: str, content: pd.DataFrame, index_name: str) -> Table:
    table = Table(title=escape(title), box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column(escape(index_name), overflow="fold")
    for column in content.columns:
        table.add_column(str(column).replace("_", " "), justify="left" if column == "most_often" else "right")
    for name, row in zip(content.index, content.to_numpy(dtype=object), strict=True):
        table.add_row(escape(str(name)), *map(_text, row))
    return table


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "-" if np.isnan(value) else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int | np.integer) else escape(str(value))
