"""Result files -> one tidy table, and what is read off it: means, best rivals, differences."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from annatac.benchmark import metrics
from annatac.benchmark.evaluate import Evaluation
from annatac.benchmark.intervals import RESAMPLED, Cells, paired_difference
from annatac.benchmark.method import methods
from annatac.benchmark.sets import TRUTH
from annatac.errors import AnnatacWarning, InputError
from annatac.io.atomic import atomic_path

#: What makes two rows the same run of different methods.
RUN = ("set", "kind", "level", "held_type", "fold", "repeat", "seed")
CONDITION = ("set", "kind", "level", "held_type")
COLUMNS = (
    *("method", "source", *RUN),
    *("status", "error", "metric", "cell_type", "value", "low", "high", "n_cells", "n_reference"),
)
_COSTS = ("fit_s", "predict_s", "wall_s", "peak_mb")
_PER_TYPE = ("precision", "recall", "f1")


def read_outcome(path: str | Path) -> dict[str, Any]:
    """Return the content of one result file.

    Raises
    ------
    InputError
        It is no result of the benchmark.
    """
    try:
        outcome: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        outcome["task"], outcome["status"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no result file of the benchmark ({error}). Delete it and run again."
        ) from error
    return outcome


def tidy(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Return all results as one table, a row a figure.

    Returns
    -------
    DataFrame with ``method``, ``source``; the run (``set``, ``kind`` of protocol, ``level``, ``held_type``,
    ``fold``, ``repeat``, ``seed``); ``status`` ('ok', 'failed', 'timeout', 'out_of_memory', 'not_set_up'), ``error``;
    ``metric``, ``cell_type`` ('' over all types) and ``value``, with ``low`` and ``high`` (95 % bootstrap interval)
    where there is one; ``n_cells`` judged and ``n_reference`` learnt from. Metrics are those of the paper,
    ``balanced_accuracy``, ``calibration_error``, ``unknown_auroc``; by type ``precision``, ``recall``, ``f1`` and, of
    types that the reference lacks, ``n_unknown`` (cells of the query); the costs ``fit_s``, ``predict_s``, ``wall_s``,
    ``peak_mb``. A task that failed has its costs alone.
    """
    rows: list[dict[str, Any]] = []
    for path in paths:
        rows += _rows(read_outcome(path))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    task = outcome["task"]
    spec = methods().get(task["method"])
    head = {
        "method": task["method"],
        "source": spec.source if spec else "",
        "set": task["set"]["name"],
        "kind": task["kind"],
        "level": task["level"],
        "held_type": task["cell_type"],
        "fold": task["fold"],
        "repeat": task["repeat"],
        "seed": task["seed"],
        "status": outcome["status"],
        "error": outcome["error"],
        "n_reference": outcome.get("n_reference", 0),
    }
    n = outcome.get("n_cells", 0)
    rows = []

    def add(
        metric: str, value: Any, low: Any = None, high: Any = None, cell_type: str = "", n: int = n
    ) -> None:
        numbers = (math.nan if x is None else float(x) for x in (value, low, high))
        values = dict(zip(("value", "low", "high"), numbers, strict=True))
        rows.append({**head, "metric": metric, "cell_type": cell_type, **values, "n_cells": n})

    for metric, (value, low, high) in outcome.get("scores", {}).items():
        add(metric, value, low, high)
    for name, figures in outcome.get("per_type", {}).items():
        for metric in _PER_TYPE:
            add(metric, figures[metric], cell_type=name, n=int(figures["n"]))
    for name, figures in outcome.get("unknown", {}).items():
        add("n_unknown", figures["n"], cell_type=name, n=int(figures["n"]))
    for metric in _COSTS:
        if metric in outcome:
            add(metric, outcome[metric])
    return rows


def evaluation_of_task(outcome: dict[str, Any]) -> Evaluation:
    """Return the judged cells of one task as an evaluation, for the plots that take one.

    Parameters
    ----------
    outcome
        As :func:`read_outcome` gives it, of a task that ended well.
    """
    cells = _cells(outcome)
    types = sorted(set(cells.truth) | set(cells.call))
    per_type = metrics.per_type(cells.truth, cells.call, types)
    per_type["known"] = True
    table = metrics.confusion(cells.truth, cells.call, types, types)
    table = table.loc[table.sum(axis=1) > 0]
    summary = {"n_evaluated": float(len(cells.truth)), **metrics.scores(cells.truth, cells.call)}
    return Evaluation(
        truth_key=TRUTH,
        summary=summary,
        per_type=per_type.loc[table.index],
        by=None,
        confusion=table,
        flow=table,
    )


def write_tables(table: pd.DataFrame, folder: str | Path) -> list[Path]:
    """Write ``results.csv`` and ``results.parquet``; the latter needs pyarrow (extra ``benchmark``)."""
    folder = Path(folder)
    csv, parquet = folder / "results.csv", folder / "results.parquet"
    with atomic_path(csv) as path:
        table.to_csv(path, index=False)
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        warnings.warn(
            "results.parquet is not written: pyarrow is not installed. Install it with: "
            "pip install 'annatac[benchmark]'",
            AnnatacWarning,
            stacklevel=2,
        )
        return [csv]
    with atomic_path(parquet) as path:
        table.to_parquet(path, index=False)
    return [csv, parquet]


def means(table: pd.DataFrame, names: Sequence[str] = ("accuracy", "macro_f1")) -> pd.DataFrame:
    """Return each method's mean over folds, repeats and seeds, a row a method and condition.

    Returns
    -------
    DataFrame with ``set``, ``kind``, ``level``, ``held_type``, ``method``, ``source``, ``n_runs`` that ended well,
    ``n_failed`` and, for each metric, its mean and (``..._sd``) standard deviation over runs.
    """
    over_all = table[table["cell_type"] == ""]
    group = [*CONDITION, "method", "source"]
    runs = over_all[over_all["metric"] == "wall_s"]
    counted = runs.assign(ok=runs["status"] == "ok").groupby(group, sort=False)["ok"].agg(["sum", "size"])
    found = pd.DataFrame({"n_runs": counted["sum"], "n_failed": counted["size"] - counted["sum"]})
    for metric in names:
        values = over_all[over_all["metric"] == metric].groupby(group, sort=False)["value"]
        found[metric], found[f"{metric}_sd"] = values.mean(), values.std()
    return found.reset_index()


def comparisons(
    paths: Iterable[str | Path],
    ours: str,
    *,
    by: Sequence[str] = ("accuracy", "macro_f1"),
    kinds: Sequence[str] = ("split", "label_noise", "label_fraction", "depth"),
    seed: int = 0,
) -> pd.DataFrame:
    """Return, for each condition and metric, how one method differs from the best rival, run by run.

    The best rival is the method of another source than annatac with the highest mean on the judged cells; to be
    chosen there is a head start for it.

    Returns
    -------
    DataFrame with the condition, ``metric``, ``rival``, ``ours_mean``, ``rival_mean``, ``difference`` with ``low``,
    ``high`` and ``p_cells`` (cells drawn with replacement, see :func:`annatac.benchmark.intervals.paired_difference`),
    ``n_runs`` that both have, and ``p_runs`` (paired t-test over runs, from 3 on; runs of one study share cells, so
    that it is too sure).
    """
    if unknown := [name for name in by if name not in RESAMPLED]:
        raise InputError(f"Cannot compare by {unknown[0]}; known are {', '.join(RESAMPLED)}.")
    runs: dict[tuple[Any, ...], dict[str, dict[tuple[Any, ...], dict[str, Any]]]] = {}
    for path in paths:
        outcome = read_outcome(path)
        task = outcome["task"]
        if outcome["status"] != "ok" or task["kind"] not in kinds:
            continue
        condition = (task["set"]["name"], task["kind"], task["level"], task["cell_type"])
        run = (task["fold"], task["repeat"], task["seed"])
        runs.setdefault(condition, {}).setdefault(task["method"], {})[run] = outcome
    specs = methods()
    rows = []
    for condition, by_method in runs.items():
        rivals = [m for m in by_method if m != ours and (m not in specs or specs[m].source != "annatac")]
        if ours not in by_method or not rivals:
            continue
        for metric in by:
            rivals.sort(key=lambda name: -_mean(by_method[name].values(), metric))
            rival = rivals[0]
            shared = sorted(set(by_method[ours]) & set(by_method[rival]))
            if not shared:
                continue
            mine, other = ([by_method[name][run] for run in shared] for name in (ours, rival))
            found = paired_difference(
                [_cells(one) for one in mine],
                [_cells(one) for one in other],
                metric,
                np.random.default_rng([seed, 0xD1FF]),
            )
            values = np.array(
                [[one["scores"][metric][0] for one in part] for part in (mine, other)], dtype=float
            )
            gaps = values[0] - values[1]
            tested = len(shared) >= 3 and gaps.std() > 0
            rows.append(
                dict(zip(CONDITION, condition, strict=True))
                | {
                    "metric": metric,
                    "rival": rival,
                    "ours_mean": values[0].mean(),
                    "rival_mean": values[1].mean(),
                    "difference": found.mean,
                    "low": found.low,
                    "high": found.high,
                    "p_cells": found.p,
                    "n_runs": len(shared),
                    "p_runs": float(stats.ttest_rel(*values).pvalue) if tested else math.nan,
                }
            )
    return pd.DataFrame(rows)


def _mean(outcomes: Iterable[dict[str, Any]], metric: str) -> float:
    values = [one["scores"][metric][0] for one in outcomes]
    return float(np.mean([math.nan if value is None else value for value in values]))


def _cells(outcome: dict[str, Any]) -> Cells:
    cells = outcome["cells"]
    names = np.array(cells["names"], dtype=object)
    return Cells(
        rows=np.array(cells["rows"], dtype=np.int64),
        truth=names[cells["truth"]],
        call=names[cells["call"]],
    )
