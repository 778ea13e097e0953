"""A benchmark's results as one HTML file: tables, pictures, what failed, and how it was done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from annatac import __version__
from annatac.benchmark.method import methods
from annatac.benchmark.protocol_tables import unknown_types
from annatac.benchmark.results import evaluation_of_task, means, read_outcome
from annatac.benchmark.sets import set_title
from annatac.errors import InputError, MissingDependencyError
from annatac.io.atomic import atomic_path
from annatac.pl.canvas import pyplot
from annatac.pl.confusion import confusion_matrix
from annatac.pl.robustness import PROTOCOLS, robustness
from annatac.pl.score_bars import score_bars
from annatac.pl.score_radar import score_radar
from annatac.pl.score_table import OURS, shown
from annatac.pl.score_violins import score_violins
from annatac.report.benchmark_tables import (
    changed_tables,
    compared_rows,
    cost_rows,
    failures,
    method_rows,
    score_rows,
    set_rows,
)
from annatac.report.render import check_jinja2, rendered
from annatac.report.themed import drawing_style, themed_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from annatac.benchmark.suite import Suite

MOST_DRAWN = 9  # methods in one picture; the tables have all


def benchmark_page(
    table: pd.DataFrame,
    compared: pd.DataFrame,
    paths: Sequence[Path],
    suite: Suite,
    output: str | Path,
) -> Path:
    """Write one self-contained HTML page about a benchmark, to be opened in any browser, and return its path.

    Parameters
    ----------
    table, compared
        The tidy table and the comparisons (:mod:`annatac.benchmark.results`).
    paths
        Result files, for the confusion matrices.
    suite
        What was run: its sets, protocols, limits and seeds are stated.
    output
        File to write, whole or not at all.

    Raises
    ------
    MissingDependencyError, OutputError
        jinja2 or matplotlib is not installed; the file cannot be written.
    """
    check_page()
    runs = table[table["metric"] == "wall_s"]
    split = table[table["kind"] == "split"]
    drawn = drawn_methods(table)
    with pyplot().rc_context(drawing_style()):
        pictures = _pictures(table, drawn)
        matrices = _matrices(paths)
    from markupsafe import Markup

    values: dict[str, Any] = {
        "title": f"Benchmark {suite.name}",
        "description": suite.description,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": __version__,
        "n_tasks": len(runs),
        "n_failed": int((runs["status"] != "ok").sum()),
        "hours": float(runs["value"].sum()) / 3600,
        "suite": suite,
        "pictures": {name: Markup(svg) for name, svg in pictures.items()},
        "matrices": {name: Markup(svg) for name, svg in matrices.items()},
        "n_left_out": split["method"].nunique() - len(drawn),
        "sets": [set_title(name) for name in dict.fromkeys(split["set"])],
        "scores": score_rows(table),
        "compared": compared_rows(compared),
        "changed": changed_tables(table),
        "costs": cost_rows(table),
        "failures": failures(table),
        "unknown": {set_title(name): types for name, types in unknown_types(table).items()},
        "set_rows": set_rows(suite),
        "method_rows": method_rows(methods(), table),
    }
    html = rendered("benchmark.html", values, scripts=("theme.js",))
    with atomic_path(output) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return Path(output)


def check_page() -> None:
    """Refuse to go on without what a page needs.

    Raises
    ------
    MissingDependencyError
        jinja2 or matplotlib is not installed.
    """
    try:
        check_jinja2()
        pyplot()
    except MissingDependencyError as error:
        raise MissingDependencyError(
            "The page of a benchmark needs jinja2 and matplotlib. Install them with: pip install 'annatac[benchmark]'"
        ) from error


def drawn_methods(table: pd.DataFrame, n_most: int = MOST_DRAWN) -> list[str]:
    """Return the methods to draw: annatac, and those that are best over the sets, by mean rank in macro-F1."""
    found = means(table[table["kind"] == "split"], ("macro_f1",)).dropna(subset=["macro_f1"])
    rank = found.assign(rank=found.groupby("set")["macro_f1"].rank(ascending=False))
    n_sets = rank.groupby("method")["set"].nunique()
    order = rank.groupby("method")["rank"].mean()[n_sets == n_sets.max()] if len(n_sets) else n_sets
    names = [str(name) for name in order.sort_values(kind="stable").index]
    return sorted(names, key=lambda name: name != OURS)[:n_most]


def _pictures(table: pd.DataFrame, drawn: list[str]) -> dict[str, str]:
    """Return every picture that the table has the figures for."""
    wished: dict[str, tuple[str, Callable[[], Axes]]] = {
        "accuracy": (
            "Accuracy of each method on each set",
            lambda: score_bars(table, "accuracy", methods=drawn),
        ),
        "macro_f1": (
            "Macro-F1 of each method on each set",
            lambda: score_bars(table, "macro_f1", methods=drawn),
        ),
        "radar": ("The five metrics, means over the sets", lambda: score_radar(table, methods=drawn)),
        "radar_sets": (
            "Macro-F1 on each set",
            lambda: score_radar(table, ["macro_f1"], corners="sets", methods=drawn),
        ),
        "violins": ("F1 of every cell type of every set", lambda: score_violins(table, "f1", methods=drawn)),
    }
    for kind, protocol in PROTOCOLS.items():
        for name in dict.fromkeys(table.loc[table["kind"] == kind, "set"]):
            for metric in ("accuracy", "macro_f1"):
                wished[f"{kind}-{name}-{metric}"] = (
                    f"{set_title(name)}: {shown(metric)} against {protocol.words}",
                    lambda kind=kind, name=name, metric=metric: robustness(  # type: ignore[misc]
                        table, kind, metric, set_name=name
                    ),
                )
    found = {}
    for key, (label, draw) in wished.items():
        try:
            found[key] = themed_svg(draw(), label)
        except InputError:
            continue  # the table lacks what it would show, such as three corners
    return found


def _matrices(paths: Sequence[Path]) -> dict[str, str]:
    """Return annatac's confusion matrix of the first undisturbed run of each set."""
    found: dict[str, str] = {}
    for path in paths:
        outcome = read_outcome(path)
        task = outcome["task"]
        name = set_title(task["set"]["name"])
        if (
            task["method"] == OURS
            and task["kind"] == "split"
            and outcome["status"] == "ok"
            and name not in found
        ):
            label = f"{name}: confusion matrix of annatac"
            found[name] = themed_svg(confusion_matrix(evaluation_of_task(outcome)), label)
    return found
