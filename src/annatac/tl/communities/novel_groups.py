"""Groups of novel cells: how large, how new, and which known types they come nearest to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.pp.counts import opened

if TYPE_CHECKING:
    from anndata import AnnData

    from annatac.annotate.annotator import Annotator

N_NEAREST = 3
_PREFIX = "novel_"


def group_names(codes: npt.NDArray[np.int64], min_cells: int) -> npt.NDArray[np.object_]:
    """Return the group of each novel cell: ``novel_1`` is the largest; '' in clusters under ``min_cells``."""
    n_cells = np.bincount(codes)
    by_size = np.argsort(-n_cells, kind="stable")
    names = np.full(len(n_cells), "", dtype=object)
    for rank, code in enumerate(by_size[: int((n_cells >= min_cells).sum())]):
        names[code] = f"{_PREFIX}{rank + 1}"
    return names[codes]


def group_table(
    adata: AnnData,
    group: npt.NDArray[np.object_],
    profiles: tuple[pd.DataFrame, pd.DataFrame] | None,
) -> pd.DataFrame:
    """Return one row a group of novel cells, the largest first.

    Parameters
    ----------
    adata
        Annotated cells.
    group
        Name of each cell's group, '' for cells of none.
    profiles
        Openness of the groups and of the known types (see :func:`open_shares`), or None.

    Returns
    -------
    DataFrame: ``group``, ``n_cells``, ``share`` (of all cells), ``share_of_novel``, ``mean_novelty``,
    ``mean_confidence``, ``median_open``; ``by_probability_1`` to ``_3``, the types of the highest mean
    probability, and ``probability_1`` to ``_3``; ``by_profile_1`` to ``_3``, those of the most alike profile, and
    ``correlation_1`` to ``_3``. Text is '' and numbers are NaN where there are fewer types or no profiles.
    """
    names = sorted(set(group) - {""}, key=_number)
    classes = [str(name) for name in adata.uns[keys.UNS]["classes"]]
    probabilities = np.asarray(adata.obsm[keys.PROBABILITIES], dtype=np.float64)
    n_novel = int(adata.obs[keys.IS_NOVEL].sum())
    correlation = None if profiles is None else profile_correlation(*profiles)
    rows = []
    for name in names:
        chosen = group == name
        row = {
            "group": name,
            "n_cells": int(chosen.sum()),
            "share": float(chosen.mean()),
            "share_of_novel": float(chosen.sum() / n_novel),
            "mean_novelty": _mean(adata, keys.NOVELTY, chosen),
            "mean_confidence": _mean(adata, keys.CONFIDENCE, chosen),
            "median_open": (
                float(np.median(adata.obs[keys.N_OPEN].to_numpy(dtype=float)[chosen]))
                if keys.N_OPEN in adata.obs
                else np.nan
            ),
        }
        row |= _nearest("probability", classes, probabilities[chosen].mean(axis=0))
        if correlation is not None:
            row |= _nearest("profile", list(correlation.columns), correlation.loc[name].to_numpy())
        else:
            row |= _nearest("profile", [], np.zeros(0))
        rows.append(row)
    columns = [
        "group",
        "n_cells",
        "share",
        "share_of_novel",
        "mean_novelty",
        "mean_confidence",
        "median_open",
    ]
    columns += [*_nearest("probability", [], np.zeros(0)), *_nearest("profile", [], np.zeros(0))]
    return pd.DataFrame(rows, columns=columns)


def open_shares(is_open: sp.csr_matrix, names: npt.NDArray[np.object_], min_cells: int) -> pd.DataFrame:
    """Return in which share of each name's cells a feature is open: float32, names x features.

    Cells named '' and names of fewer than ``min_cells`` cells are left out.
    """
    found = pd.Series(names[names != ""], dtype=object).value_counts()
    kept = sorted(str(name) for name, n in found.items() if n >= min_cells)
    shares = [np.asarray(is_open[np.flatnonzero(names == name)].mean(axis=0)).ravel() for name in kept]
    values = np.array(shares, dtype=np.float32).reshape(len(kept), is_open.shape[1])
    return pd.DataFrame(values, index=pd.Index(kept, dtype=object))


def group_profiles(
    is_open: sp.csr_matrix, label: npt.NDArray[np.object_], group: npt.NDArray[np.object_], min_cells: int
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return profiles of the groups and of the known types, both of the query's own cells.

    None where fewer than two known types have ``min_cells`` cells: what all types share could not be taken off.
    """
    known = np.where(label == keys.NOVEL_LABEL, "", label)
    types = open_shares(is_open, known, min_cells)
    return None if len(types) < 2 else (open_shares(is_open, group, 1), types)


def model_profiles(
    adata: AnnData, group: npt.NDArray[np.object_], model: Annotator
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return profiles of the groups on the model's islands, and of the known types in its reference.

    Only islands that are open in a cell of the query count: others may not have been measured. None where the
    model keeps no reference (``--no-keep-reference``) or knows one type.
    """
    if "profiles" not in model.artifact.reference or len(model.classes) < 2:
        return None
    tokens, _ = model.tokens(adata)
    is_open = opened(tokens, np.float32)
    measured = np.unique(tokens.indices)
    shares = model.artifact.reference["profiles"].float().numpy()[:, measured]
    types = pd.DataFrame(shares, index=pd.Index(model.classes, dtype=object))
    return open_shares(sp.csr_matrix(is_open[:, measured]), group, 1), types


def profile_correlation(groups: pd.DataFrame, types: pd.DataFrame) -> pd.DataFrame:
    """Return Pearson's correlation of each group's profile with each type's, float64 (groups, types).

    Profiles are log(1 + share open, scaled to a mean of 1 over the features), and what the types have in common
    (their mean) is taken off both: without that all profiles correlate, housekeeping promoters being open everywhere.
    """
    logs = _log_profile(types.to_numpy(dtype=np.float64))
    common = logs.mean(axis=0)
    own, known = _log_profile(groups.to_numpy(dtype=np.float64)) - common, logs - common
    own, known = own - own.mean(axis=1, keepdims=True), known - known.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(own, axis=1)[:, None] * np.linalg.norm(known, axis=1)[None, :]
    values = (own @ known.T) / np.maximum(norms, 1e-12)
    return pd.DataFrame(values, index=groups.index, columns=types.index)


def _log_profile(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.log1p(shares / np.maximum(shares.mean(axis=1, keepdims=True), 1e-12))


def _nearest(how: str, names: list[str], values: npt.NDArray[np.float64]) -> dict[str, str | float]:
    number = "probability" if how == "probability" else "correlation"
    order = np.argsort(-values, kind="stable")[:N_NEAREST].tolist()
    found: dict[str, str | float] = {}
    for i in range(N_NEAREST):
        found[f"by_{how}_{i + 1}"] = names[order[i]] if i < len(order) else ""
        found[f"{number}_{i + 1}"] = float(values[order[i]]) if i < len(order) else np.nan
    return found


def _mean(adata: AnnData, slot: str, chosen: npt.NDArray[np.bool_]) -> float:
    return float(adata.obs[slot].to_numpy(dtype=float)[chosen].mean()) if slot in adata.obs else np.nan


def _number(name: str) -> int:
    return int(name.removeprefix(_PREFIX))
