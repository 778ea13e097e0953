"""What the model itself went by: the islands that count most in the calls of each type."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import keys
from annatac.annotate.annotator import Annotator
from annatac.errors import AnnatacWarning, InputError
from annatac.genome.intervals import intervals_of
from annatac.report.cells import Cells
from annatac.report.markers import MarkerTable
from annatac.tl.reasons.attributing import attribution
from annatac.tl.reasons.attribution_table import Attribution, islands_of_peaks

if TYPE_CHECKING:
    from anndata import AnnData

CELLS_A_TYPE, N_ISLANDS, N_COMPARED = 30, 10, 100


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Of one type: its islands, and how many of the first 100 hold one of its marker peaks.

    ``rows``: island, gene (where genes are known), mean_contribution (logits), share_open; the greatest first.
    ``n_shared`` and ``n_expected`` (by chance) of ``n_compared`` are None without markers.
    """

    n_cells: int
    rows: list[dict[str, Any]]
    n_compared: int = 0
    n_shared: int | None = None
    n_expected: float | None = None


def evidence_of(
    adata: AnnData,
    cells: Cells,
    model: Annotator | str | Path,
    markers: MarkerTable | None,
    *,
    genes: str | Path | pd.DataFrame | None,
    seed: int,
) -> dict[str, Evidence]:
    """Return the evidence of each known type that has cells, from up to 30 of its cells.

    Warns
    -----
    AnnatacWarning
        The model cannot explain these cells (their counts are not in X, or they are another model's); the report
        goes without.

    Raises
    ------
    ModelError
        There is no such model.
    """
    rows = _drawn(cells, seed)
    if isinstance(model, str | Path):
        model = Annotator.load(model)
    try:
        chosen = adata[rows].to_memory() if adata.isbacked else adata[rows].copy()
        found = attribution(chosen, model, max_cells=None, genes=genes)
    except InputError as error:
        warnings.warn(f"The report has no attributions: {error}", AnnatacWarning, stacklevel=3)
        return {}
    return {name: _of_type(found, name, markers) for name in found.targets}


def _drawn(cells: Cells, seed: int) -> npt.NDArray[np.int64]:
    """Return up to 30 cells of each known type, in order."""
    random = np.random.default_rng([seed, 0xE71])
    drawn = [np.zeros(0, dtype=np.int64)]
    for code, name in enumerate(cells.label.names):
        if name != keys.NOVEL_LABEL:
            drawn.append(random.permutation(np.flatnonzero(cells.label.code == code))[:CELLS_A_TYPE])
    return np.sort(np.concatenate(drawn))


def _of_type(found: Attribution, name: str, markers: MarkerTable | None) -> Evidence:
    table = found.table(name, n_top=N_COMPARED)
    table = table[table["mean_contribution"] > 0]
    shown = [c for c in ("island", "gene", "mean_contribution", "share_open") if c in table]
    top = table[shown].head(N_ISLANDS).astype(object)
    evidence: dict[str, Any] = {
        "n_cells": len(found.rows_of(name)),
        "rows": top.where(pd.notna(top), None).to_dict("records"),
    }
    held = _islands_with_markers(found, name, markers)
    if held is not None:
        own = set(found.islands.index.get_indexer(table["island"]))
        evidence |= {
            "n_compared": len(own),
            "n_shared": len(own & held),
            "n_expected": len(own) * len(held) / len(found.islands),
        }
    return Evidence(**evidence)


def _islands_with_markers(found: Attribution, name: str, markers: MarkerTable | None) -> set[int] | None:
    """Return the islands that hold a marker peak of the type, None where there are no markers to compare."""
    if markers is None or markers.problem:
        return None
    peaks = pd.DataFrame(index=pd.Index(markers.rows.loc[markers.rows["cell_type"] == name, "peak"]))
    if not len(peaks):
        return None
    table = intervals_of(peaks)
    if table is not None:
        peaks = table.set_axis(peaks.index)
    island = islands_of_peaks(peaks, found.islands)
    return set(island[island >= 0].tolist()) or None
