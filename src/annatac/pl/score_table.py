"""What pictures of a benchmark share: the rows that they show, names and colours of the methods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from annatac.errors import InputError, MissingFileError, nearest
from annatac.pl.palette import COLORS

OURS = "annatac"
WORDS = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "cohen_kappa": "Cohen's kappa",
    "jaccard_micro": "Jaccard, micro",
    "jaccard_weighted": "Jaccard, weighted",
    "balanced_accuracy": "balanced accuracy",
    "calibration_error": "calibration error",
    "unknown_auroc": "AUROC of unknown types",
    "f1": "F1 of a type",
    "recall": "recall of a type",
    "precision": "precision of a type",
    "wall_s": "seconds",
    "peak_mb": "memory, MiB",
}
PAPER_METRICS = ("accuracy", "macro_f1", "cohen_kappa", "jaccard_micro", "jaccard_weighted")


def runs_of(
    table: pd.DataFrame | str | Path,
    metrics: Sequence[str],
    *,
    kind: str = "split",
    sets: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the rows of a benchmark's tidy table that hold these metrics, of tasks that ended well.

    Parameters
    ----------
    table
        ``results.csv`` or ``results.parquet`` of ``annatac benchmark``, or their content.
    metrics, kind, sets, methods
        What to keep; every set and method where it is None. The order of ``sets`` and ``methods`` is kept.

    Returns
    -------
    DataFrame with ``method`` and ``set`` as ordered categories, in the order of the table or of the wish.

    Raises
    ------
    MissingFileError, InputError
        No such file; it is no such table; nothing is left.
    """
    table = _read(table)
    for column, wished in (("method", methods), ("set", sets)):
        known = list(dict.fromkeys(table[column]))
        if strange := [name for name in wished or () if name not in known]:
            raise InputError(
                f"The table has no {column} '{strange[0]}'.{nearest(strange[0], known)} It has: {', '.join(known)}."
            )
    rows = table[
        table["metric"].isin(metrics)
        & (table["kind"] == kind)
        & (table["status"] == "ok")
        & table["value"].notna()
        & (table["set"].isin(sets) if sets else True)
        & (table["method"].isin(methods) if methods else True)
    ].copy()
    if rows.empty:
        found = sorted(set(table["kind"]))
        raise InputError(
            f"The table holds no {' or '.join(metrics)} of protocol '{kind}' for what was asked. Its protocols are "
            f"{', '.join(found) or 'none'}, its metrics {', '.join(sorted(set(table['metric']))) or 'none'}."
        )
    for column, wished in (("method", methods), ("set", sets)):
        order = [name for name in wished or dict.fromkeys(table[column]) if name in set(rows[column])]
        rows[column] = pd.Categorical(rows[column], categories=order, ordered=True)
    return rows


def method_colors(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each method; annatac itself always has the first, so that it is found at once."""
    others = [name for name in dict.fromkeys(names) if name != OURS]
    colors = {name: COLORS[1 + i % (len(COLORS) - 1)] for i, name in enumerate(others)}
    return {OURS: COLORS[0], **colors}


def shown(name: str) -> str:
    """Return the words for a method, set or metric."""
    return WORDS.get(name, name.replace("_", " "))


def _read(table: pd.DataFrame | str | Path) -> pd.DataFrame:
    if not isinstance(table, pd.DataFrame):
        path = Path(table)
        if not path.is_file():
            raise MissingFileError(f"{path} does not exist: results.csv of a benchmark is expected.")
        try:
            table = (
                pd.read_parquet(path)
                if path.suffix == ".parquet"
                else pd.read_csv(path, keep_default_na=False, na_values={"value": "", "low": "", "high": ""})
            )
        except (ValueError, OSError) as error:
            raise InputError(f"{path} cannot be read as a benchmark's results: {error}") from error
    missing = [
        name for name in ("method", "set", "kind", "status", "metric", "value") if name not in table.columns
    ]
    if missing:
        raise InputError(
            f"This is no table of a benchmark's results: it lacks the column '{missing[0]}'. results.csv of "
            "`annatac benchmark` is expected."
        )
    return table
