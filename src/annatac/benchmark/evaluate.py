"""Judge annotated cells against known types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from annatac import keys
from annatac.annotate.hierarchy import Hierarchy
from annatac.benchmark import metrics
from annatac.benchmark.hierarchical import safe_scores
from annatac.errors import InputError, LabelError, nearest, no_column

if TYPE_CHECKING:
    from anndata import AnnData
    from rich.console import Group

MOST_GROUPS = 20  # numbers of more values are cut into quarters: a row a value says nothing


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What :func:`evaluate` found. Prints as tables through rich.

    Attributes
    ----------
    summary
        Numbers over all cells. ``accuracy``, ``macro_f1``, ``cohen_kappa``, ``jaccard_micro`` and
        ``jaccard_weighted`` judge the forced choice (the best known type) on the cells whose true type the
        model knows (``n_evaluated``). ``accuracy_accepted`` judges those of them that were not called novel,
        ``share_rejected`` is the share that were. Cells of types that the model does not know
        (``n_unknown_type``) count only in ``share_rejected_unknown`` and ``novelty_auroc``. Where there are
        safe labels, :func:`annatac.benchmark.hierarchical.safe_scores` judges them.
    per_type
        One row a true type, the unknown ones last: ``n``, ``precision``, ``recall``, ``f1`` (forced choice),
        ``share_novel``, ``known`` (to the model), ``most_often`` (the forced choice made most often).
    by
        The summary's metrics for each group of cells; None without ``by``.
    confusion
        Cells by true type (rows) and forced choice (columns: the model's types).
    flow
        Cells by true type (rows) and final label (columns: the model's types, then the novel class).
    """

    truth_key: str
    summary: dict[str, float]
    per_type: pd.DataFrame
    by: pd.DataFrame | None
    confusion: pd.DataFrame
    flow: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers, texts, lists and dicts; NaN becomes None (JSON's null)."""
        tables = {"per_type": self.per_type, "confusion": self.confusion, "flow": self.flow}
        content: dict[str, Any] = {
            "truth_key": self.truth_key,
            "summary": {name: _plain(value) for name, value in self.summary.items()},
            **{name: _records(table) for name, table in tables.items()},
        }
        if self.by is not None:
            content["by"] = {"key": self.by.index.name, "groups": _records(self.by)}
        return content

    def __rich__(self) -> Group:
        from annatac.benchmark.tables import evaluation_tables

        return evaluation_tables(self.summary, self.per_type, self.by)


def evaluate(adata: AnnData, truth_key: str, *, by: str | None = None) -> Evaluation:
    """Return how well the annotation of ``adata`` agrees with ``obs[truth_key]``.

    The best known type of each cell (the forced choice) is judged first, then the accepted cells alone. Cells
    whose true type the model does not know are kept apart: no known type is right for them. Cells without a
    true type are left out and counted.

    Parameters
    ----------
    adata
        Cells as ``annatac.tl.annotate`` leaves them: ``obsm['annatac_probabilities']`` (float32, cells x
        types), ``uns['annatac']['classes']`` and ``obs['annatac_label']``; ``obs['annatac_novelty']`` is used
        where present.
    truth_key
        Column of ``obs`` with the true types.
    by
        Column of ``obs`` whose groups (samples, conditions) are judged one by one as well. Numbers of more
        than 20 values (depth, confidence) are cut into four groups of equally many cells.

    Raises
    ------
    InputError
        The annotation is missing or does not fit its own class names.
    LabelError
        A column is missing (the nearest is named), no cell has a true type, or none of the true types is
        known to the model.
    """
    classes, probabilities = _annotation(adata)
    column = _column(adata, truth_key)
    labelled = (column.notna() & (column.astype(str).str.strip() != "")).to_numpy()
    if not labelled.any():
        raise LabelError(f"No cell has a true type: all of obs['{truth_key}'] is missing.")
    truth = column.astype(str).to_numpy(dtype=object)[labelled]
    forced = classes[probabilities.argmax(axis=1)][labelled]
    label = adata.obs[keys.LABEL].astype(str).to_numpy(dtype=object)[labelled]
    novel = label == keys.NOVEL_LABEL
    known = np.isin(truth, classes)
    if not known.any():
        found = sorted(set(truth))
        raise LabelError(
            f"None of the {len(found)} types in obs['{truth_key}'] ({_some(found)}) is known to the model, "
            f"whose types are {_some(classes)}.{nearest(found[0], classes)} "
            "Give the column that uses the model's names."
        )

    summary = {
        "n_cells": len(labelled),
        "n_unlabelled": int((~labelled).sum()),
        "n_evaluated": int(known.sum()),
        "n_unknown_type": int((~known).sum()),
        **_judge(truth[known], forced[known], novel[known]),
    }
    if not known.all():
        summary["share_rejected_unknown"] = float(novel[~known].mean())
        if keys.NOVELTY in adata.obs:
            novelty = adata.obs[keys.NOVELTY].to_numpy(dtype=float)[labelled]
            summary["novelty_auroc"] = float(roc_auc_score(~known, novelty))

    details = adata.uns[keys.UNS]
    if keys.LABEL_SAFE in adata.obs and "hierarchy" in details:
        safe = adata.obs[keys.LABEL_SAFE].astype(str).to_numpy(dtype=object)[labelled]
        tree = Hierarchy.from_uns(details["hierarchy"], list(classes))
        summary |= safe_scores(truth[known], safe[known], tree)

    types = [name for name in classes if name in set(truth)] + sorted(set(truth[~known]))
    groups = None
    if by is not None:
        group = _grouped(_column(adata, by)[labelled])
        groups = _by_group(group, truth, forced, novel, known).rename_axis(by)
    return Evaluation(
        truth_key=truth_key,
        summary=summary,
        per_type=_per_type(types, truth, forced, novel, known),
        by=groups,
        confusion=metrics.confusion(truth, forced, types, classes),
        flow=metrics.confusion(truth, label, types, [*classes, keys.NOVEL_LABEL]),
    )


def forced_choices(adata: AnnData, truth_key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return each cell's true type ('' where it has none) and its best known type, object (n,) each.

    Raises
    ------
    InputError, LabelError
        The cells are not annotated; no such column.
    """
    classes, probabilities = _annotation(adata)
    column = _column(adata, truth_key)
    truth = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    return truth.to_numpy(dtype=object), classes[probabilities.argmax(axis=1)]


def _annotation(adata: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Return the model's types and the probabilities, cells x types."""
    missing = [
        slot
        for slot, found in (
            (f"obsm['{keys.PROBABILITIES}']", keys.PROBABILITIES in adata.obsm),
            (f"uns['{keys.UNS}']['classes']", "classes" in adata.uns.get(keys.UNS, {})),
            (f"obs['{keys.LABEL}']", keys.LABEL in adata.obs),
        )
        if not found
    ]
    if missing:
        raise InputError(
            f"These cells are not annotated: {', '.join(missing)} missing. "
            "Annotate them first (`annatac annotate` or `annatac.tl.annotate`) and give its output."
        )
    classes = np.asarray(adata.uns[keys.UNS]["classes"], dtype=str).astype(object)
    probabilities = np.asarray(adata.obsm[keys.PROBABILITIES])
    if probabilities.ndim != 2 or probabilities.shape[1] != len(classes):
        raise InputError(
            f"obsm['{keys.PROBABILITIES}'] has shape {probabilities.shape}, but uns['{keys.UNS}']['classes'] "
            f"names {len(classes)} types; expected one column a type. Annotate the cells again."
        )
    return classes, probabilities


def _column(adata: AnnData, key: str) -> pd.Series:
    if key not in adata.obs:
        raise no_column(key, adata.obs.columns)
    return adata.obs[key]


def _judge(truth: np.ndarray, forced: np.ndarray, novel: np.ndarray) -> dict[str, float]:
    accepted = ~novel
    hits = (truth == forced)[accepted]
    return {
        **metrics.scores(truth, forced),
        "accuracy_accepted": float(hits.mean()) if len(hits) else float("nan"),
        "share_rejected": float(novel.mean()) if len(novel) else float("nan"),
    }


def _per_type(
    types: list[str], truth: np.ndarray, forced: np.ndarray, novel: np.ndarray, known: np.ndarray
) -> pd.DataFrame:
    table = metrics.per_type(truth[known], forced[known], types)
    table["n"] = [int((truth == name).sum()) for name in types]
    table["share_novel"] = [float(novel[truth == name].mean()) for name in types]
    table["known"] = [bool(known[truth == name][0]) for name in types]
    table["most_often"] = [pd.Series(forced[truth == name]).value_counts().index[0] for name in types]
    table.loc[~table["known"], ["precision", "recall", "f1"]] = np.nan
    return table


def _grouped(column: pd.Series) -> pd.Series:
    """Return the groups of a column; of numbers with many values its quarters, named by their bounds."""
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if not is_number or column.nunique() <= MOST_GROUPS:
        return column.astype(object)
    quarters = pd.qcut(column, 4, duplicates="drop")
    bounds = [f"{part.left:.4g} to {part.right:.4g}" for part in quarters.cat.categories]
    return quarters.cat.rename_categories([f"{i}: {text}" for i, text in enumerate(bounds, start=1)])


def _by_group(
    group: pd.Series, truth: np.ndarray, forced: np.ndarray, novel: np.ndarray, known: np.ndarray
) -> pd.DataFrame:
    names = group.astype(object).where(group.notna(), "(none)").astype(str).to_numpy(dtype=object)
    ranges = list(group.cat.categories) if isinstance(group.dtype, pd.CategoricalDtype) else []
    rows = {}
    for name in sorted(set(names), key=lambda name: (ranges.index(name) if name in ranges else -1, name)):
        own = names == name
        inside = own & known
        rows[name] = {
            "n_cells": int(own.sum()),
            "n_evaluated": int(inside.sum()),
            **_judge(truth[inside], forced[inside], novel[inside]),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _some(names: Any, n_shown: int = 8) -> str:
    shown = ", ".join(list(names)[:n_shown])
    return shown + (f" and {len(names) - n_shown} more" if len(names) > n_shown else "")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and np.isnan(value) else value


def _records(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    columns = [str(column) for column in table.columns]
    return {
        str(name): {column: _plain(value) for column, value in zip(columns, row, strict=True)}
        for name, row in zip(table.index, table.to_numpy(dtype=object), strict=True)
    }
