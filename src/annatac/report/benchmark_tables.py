"""The tables of a benchmark's page, as rows of plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from annatac.benchmark.protocol_tables import costs, held_out, rare_recall
from annatac.benchmark.results import means
from annatac.benchmark.sets import set_title
from annatac.benchmark.summary_tables import condition_title
from annatac.pl.score_table import shown

if TYPE_CHECKING:
    from annatac.benchmark.method import MethodSpec
    from annatac.benchmark.suite import SetConfig, Suite


class Score(NamedTuple):
    """What a method has on a set: NaN and ``n_failed`` runs where it did not end well."""

    accuracy: float
    macro_f1: float
    n_runs: int
    n_failed: int
    best_accuracy: bool
    best_macro_f1: bool


def score_rows(table: pd.DataFrame) -> list[tuple[str, list[Score | None]]]:
    """Return methods, the best first, each with its scores on the sets of protocol 'split'."""
    found = means(table[table["kind"] == "split"])
    sets = list(dict.fromkeys(found["set"]))
    best = found.groupby("set")[["accuracy", "macro_f1"]].max()
    rows: list[tuple[str, list[Score | None]]] = []
    for name in in_order(found):
        mine = found[found["method"] == name].set_index("set")
        cells: list[Score | None] = []
        for one in sets:
            if one not in mine.index:
                cells.append(None)
                continue
            row = mine.loc[one]
            cells.append(
                Score(
                    accuracy=float(row["accuracy"]),
                    macro_f1=float(row["macro_f1"]),
                    n_runs=int(row["n_runs"]),
                    n_failed=int(row["n_failed"]),
                    best_accuracy=bool(row["accuracy"] == best.loc[one, "accuracy"]),
                    best_macro_f1=bool(row["macro_f1"] == best.loc[one, "macro_f1"]),
                )
            )
        rows.append((shown(str(name)), cells))
    return rows


def in_order(found: pd.DataFrame) -> list[str]:
    """Return the methods of a table of means: those with results on the most sets first, then by mean macro-F1."""
    of_method = found.groupby("method")["macro_f1"].agg(["count", "mean"])
    ordered = of_method.sort_values(["count", "mean"], ascending=False, na_position="last", kind="stable")
    return [str(name) for name in ordered.index]


def compared_rows(compared: pd.DataFrame) -> list[dict[str, Any]]:
    """Return annatac against the best rival of each condition, differences in points."""
    return [
        {
            "condition": condition_title(
                (set_title(row["set"]), row["kind"], row["level"], row["held_type"])
            ),
            "metric": shown(row["metric"]),
            "rival": shown(row["rival"]),
            **{name: 100 * row[name] for name in ("difference", "low", "high")},
            **{name: row[name] for name in ("p_cells", "p_runs", "n_runs")},
        }
        for row in compared.to_dict("records")
    ]


def changed_tables(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the tables of the other protocols: ``title``, ``heads``, ``rows`` of a name and numbers."""
    made = []
    for kind, words in (
        ("label_noise", "Accuracy lost, in points, where so many of the reference's labels are wrong"),
        ("label_fraction", "Accuracy lost, in points, where so many of the labelled cells are there"),
        ("depth", "Accuracy lost, in points, where so many of the query's fragments are there"),
    ):
        found = costs(table, kind)
        for name, rows in found.groupby("set", sort=False):
            wide = rows.pivot_table(index="method", columns="level", values="cost", sort=False) * 100
            wide = wide[sorted(wide.columns)]
            made.append(
                _table(f"{set_title(str(name))}: {words}", wide, [f"{100 * x:g} %" for x in wide.columns])
            )
    rare = rare_recall(table)
    for name, rows in rare.groupby("set", sort=False):
        means_ = rows.groupby("method", sort=False)[["recall", "recall_untouched"]].mean() * 100
        title = f"{set_title(str(name))}: recall of a type cut to few cells, mean over types, in percent"
        made.append(_table(title, means_, ["few cells", "all cells"]))
    left_out = held_out(table)
    if len(left_out):
        wide = left_out.pivot_table(index="method", columns="set", values="auroc", sort=False)
        title = (
            "How well low confidence betrays a type that was left out: AUROC, mean over types (0.5 is chance)"
        )
        made.append(_table(title, wide, [set_title(str(name)) for name in wide.columns], digits=2))
    return made


def cost_rows(table: pd.DataFrame) -> list[tuple[str, list[float]]]:
    """Return method, median and highest seconds of a task, median of fitting and predicting, highest memory (MiB)."""
    split = table[(table["kind"] == "split") & (table["cell_type"] == "") & (table["status"] == "ok")]
    wide = split.pivot_table(
        index="method", columns="metric", values="value", aggfunc=["median", "max"], sort=False
    )
    rows: list[tuple[str, list[float]]] = []
    for name, row in wide.iterrows():
        figures = (("median", "wall_s"), ("max", "wall_s"), ("median", "fit_s"), ("median", "predict_s"))
        values = [float(row.get(key, np.nan)) for key in (*figures, ("max", "peak_mb"))]
        rows.append((shown(str(name)), values))
    return sorted(rows, key=lambda row: row[1][0])


def failures(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the tasks that did not end well: method, condition, seed, status, message."""
    failed = table[(table["metric"] == "wall_s") & (table["status"] != "ok")]
    return [
        {
            "method": shown(row["method"]),
            "condition": condition_title(
                (set_title(row["set"]), row["kind"], row["level"], row["held_type"])
            ),
            "seed": row["seed"],
            "status": row["status"].replace("_", " "),
            "error": row["error"],
        }
        for row in failed.to_dict("records")
    ]


def set_rows(suite: Suite) -> list[tuple[str, str]]:
    """Return each set with the words for how it is split."""
    return [(set_title(one.name), _split_words(one)) for one in suite.sets]


def method_rows(known: Mapping[str, MethodSpec], table: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Return name, source, what it is, and whether a call depends on the other query cells."""
    rows: list[tuple[str, str, str, str]] = []
    for name in dict.fromkeys(table["method"]):
        spec = known.get(name)
        if spec is not None:
            other = "" if spec.inductive else "sees all query cells at once"
            rows.append((shown(name), spec.source, spec.about, other))
    return rows


def _split_words(one: SetConfig) -> str:
    named = f"types of '{one.label_key}'" + (", renamed" if one.types else "")
    if one.query:
        return f"{one.reference} names {one.query}, another study; {named}"
    if one.held_out:
        return f"{one.reference}, {one.batch_key} {', '.join(one.held_out)} held out; {named}"
    folds = ", ".join(str(fold + 1) for fold in one.folds)
    if one.batch_key:
        return f"{one.reference}, one {one.batch_key} held out at a time (folds {folds}); {named}"
    return f"{one.reference}, stratified folds of {one.n_folds}, judged on fold {folds}; {named}"


def _table(title: str, wide: pd.DataFrame, heads: list[str], digits: int = 1) -> dict[str, Any]:
    rows = [
        (shown(str(name)), [float(x) for x in row])
        for name, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    return {"title": title, "heads": heads, "rows": rows, "digits": digits}
