"""Plots take annotated cells or an evaluation of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from annatac.benchmark.evaluate import Evaluation, evaluate
from annatac.errors import LabelError

if TYPE_CHECKING:
    from anndata import AnnData


def evaluation_of(adata: AnnData | Evaluation | Any, truth_key: str | None) -> Evaluation:
    """Return the evaluation itself, or that of the cells.

    Raises
    ------
    LabelError
        Cells without a ``truth_key``.
    """
    if isinstance(adata, Evaluation):
        return adata
    if truth_key is None:
        raise LabelError("truth_key is missing: name the column of obs that holds the true types.")
    return evaluate(adata, truth_key)
