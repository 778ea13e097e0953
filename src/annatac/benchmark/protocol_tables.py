"""What the protocols say, one small table each: the cost of a change, recall of rare types, unknown types betrayed."""

from __future__ import annotations

import pandas as pd

_RUN = ["set", "method", "fold", "seed"]


def costs(table: pd.DataFrame, kind: str, metric: str = "accuracy") -> pd.DataFrame:
    """Return what each level of a protocol costs, against the undisturbed runs of the same fold and seed.

    Returns
    -------
    DataFrame with ``set``, ``method``, ``level``, ``value`` (mean over runs), ``untouched`` and ``cost`` (untouched
    minus value: over 0 is a loss), ``n_runs``. Conditions without an undisturbed run are left out.
    """
    rows = table[(table["metric"] == metric) & (table["status"] == "ok") & (table["cell_type"] == "")]
    whole = rows[rows["kind"] == "split"].groupby(_RUN, sort=False)["value"].mean().rename("untouched")
    changed = rows[rows["kind"] == kind].merge(whole.reset_index(), on=_RUN)
    group = changed.groupby(["set", "method", "level"], sort=False)
    found = group[["value", "untouched"]].mean()
    found["cost"] = found["untouched"] - found["value"]
    found["n_runs"] = group.size()
    return found.reset_index()


def rare_recall(table: pd.DataFrame) -> pd.DataFrame:
    """Return how many cells of each rare type are found, and how many with all of its reference cells.

    Returns
    -------
    DataFrame with ``set``, ``method``, ``held_type``, ``n_cells`` (judged), ``recall`` with few reference cells
    (protocol 'rare'), ``recall_untouched`` (NaN where the table lacks those runs); means over runs.
    """
    rows = table[(table["metric"] == "recall") & (table["status"] == "ok")]
    rare = rows[(rows["kind"] == "rare") & (rows["cell_type"] == rows["held_type"])]
    group = rare.groupby(["set", "method", "held_type"], sort=False)
    found = pd.DataFrame({"n_cells": group["n_cells"].max(), "recall": group["value"].mean()}).reset_index()
    whole = rows[rows["kind"] == "split"]
    whole = whole.rename(columns={"cell_type": "type"}).groupby(["set", "method", "type"])["value"].mean()
    keys = pd.MultiIndex.from_frame(found[["set", "method", "held_type"]])
    found["recall_untouched"] = whole.reindex(keys).to_numpy()
    return found


def held_out(table: pd.DataFrame) -> pd.DataFrame:
    """Return how well 1 - confidence tells cells of a type that was left out from the others.

    Returns
    -------
    DataFrame with ``set``, ``method``, ``held_type`` and ``auroc`` (mean over runs); a type without query cells has
    none.
    """
    rows = table[
        (table["kind"] == "held_out") & (table["metric"] == "unknown_auroc") & (table["status"] == "ok")
    ]
    found = rows.groupby(["set", "method", "held_type"], sort=False)["value"].mean()
    return found.rename("auroc").reset_index()


def unknown_types(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return the types of each set's query that its reference lacks, with their cells (protocol 'split')."""
    rows = table[(table["metric"] == "n_unknown") & (table["kind"] == "split")]
    most = rows.groupby(["set", "cell_type"], sort=False)["value"].max()
    found: dict[str, dict[str, int]] = {}
    for (name, cell_type), n in most.items():
        found.setdefault(str(name), {})[str(cell_type)] = int(n)
    return found
