"""The cells of a report: one array a property, types and samples by number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import keys
from annatac.errors import InputError, no_column

if TYPE_CHECKING:
    from anndata import AnnData

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
MISSING = "(none)"  # what cells without a sample or a true type are listed under


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """A column of ``obs`` as numbers: ``code`` (int64, one a cell) counts into ``names``."""

    key: str
    names: list[str]
    code: Codes

    @property
    def n_cells(self) -> Codes:
        """Cells of each name, int64."""
        return np.bincount(self.code, minlength=len(self.names))


@dataclass(frozen=True, kw_only=True)
class Cells:
    """n annotated cells.

    Attributes
    ----------
    barcodes
        Names of the cells.
    classes
        The types that the model knows, in the order of the columns of ``probabilities``.
    label
        The types: ``classes``, then other values of the column, then the novel class if a cell has it.
    confidence, novelty
        float32 (n,); ``novelty`` None where it was not written.
    n_open
        Open islands a cell, float64 (n,), or None.
    is_low_quality
        bool (n,).
    probabilities
        float32 (n, classes), or None.
    sample, truth
        None where no column was named.
    measures
        Further numbers a cell by the words to show: fragments, TSS enrichment.
    """

    barcodes: npt.NDArray[Any]
    classes: list[str]
    label: Grouping
    confidence: Floats
    novelty: Floats | None
    n_open: npt.NDArray[np.float64] | None
    is_low_quality: npt.NDArray[np.bool_]
    probabilities: Floats | None
    sample: Grouping | None
    truth: Grouping | None
    measures: dict[str, npt.NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.confidence)

    @property
    def is_novel(self) -> npt.NDArray[np.bool_]:
        """bool (n,): called novel."""
        if keys.NOVEL_LABEL not in self.label.names:
            return np.zeros(len(self), dtype=bool)
        return self.label.code == self.label.names.index(keys.NOVEL_LABEL)


_MEASURES = {"fragments": keys.N_FRAGMENTS, "TSS enrichment": keys.TSS_ENRICHMENT}


def cells_of(adata: AnnData, *, truth_key: str | None = None, sample_key: str | None = None) -> Cells:
    """Return the annotated cells of ``adata``; its X is not looked at.

    Raises
    ------
    InputError
        The cells are not annotated.
    LabelError
        No column of that name; the nearest is offered.
    """
    details = adata.uns.get(keys.UNS, {})
    missing = [f"obs['{name}']" for name in (keys.LABEL, keys.CONFIDENCE) if name not in adata.obs]
    if "classes" not in details:
        missing.append(f"uns['{keys.UNS}']['classes']")
    if missing:
        raise InputError(
            f"These cells are not annotated: {', '.join(missing)} missing. "
            "Annotate them first (`annatac annotate` or `annatac.tl.annotate`) and give its output."
        )
    if adata.n_obs == 0:
        raise InputError("There is no cell to report on: 0 cells found, at least one is expected.")
    if sample_key is None and keys.SAMPLE in adata.obs:
        sample_key = keys.SAMPLE
    classes = [str(name) for name in details["classes"]]
    probabilities = adata.obsm.get(keys.PROBABILITIES)
    if probabilities is not None and probabilities.shape[1] != len(classes):
        raise InputError(
            f"obsm['{keys.PROBABILITIES}'] has {probabilities.shape[1]} columns, but uns['{keys.UNS}']['classes'] "
            f"names {len(classes)} types; expected one column a type. Annotate the cells again."
        )
    label = _grouping(adata, keys.LABEL, first=classes)
    reason = adata.obs[keys.REASON].astype(str) if keys.REASON in adata.obs else None
    return Cells(
        barcodes=adata.obs_names.astype(str).to_numpy(dtype=object),
        classes=classes,
        label=label,
        confidence=np.nan_to_num(_numbers(adata.obs[keys.CONFIDENCE])).astype(np.float32),
        novelty=(
            np.nan_to_num(_numbers(adata.obs[keys.NOVELTY])).astype(np.float32)
            if keys.NOVELTY in adata.obs
            else None
        ),
        n_open=_numbers(adata.obs[keys.N_OPEN]) if keys.N_OPEN in adata.obs else None,
        is_low_quality=(
            np.zeros(adata.n_obs, dtype=bool) if reason is None else (reason == "low_quality").to_numpy()
        ),
        probabilities=None if probabilities is None else np.asarray(probabilities, dtype=np.float32),
        sample=None if sample_key is None else _grouping(adata, sample_key),
        truth=None if truth_key is None else _grouping(adata, truth_key, first=classes),
        measures={words: _numbers(adata.obs[name]) for words, name in _MEASURES.items() if name in adata.obs},
    )


def _numbers(column: pd.Series) -> npt.NDArray[np.float64]:
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64)


def _grouping(adata: AnnData, key: str, *, first: list[str] | None = None) -> Grouping:
    """Return a column as numbers; ``first`` are names that come first where cells have them (all for labels)."""
    if key not in adata.obs:
        raise no_column(key, adata.obs.columns)
    column = adata.obs[key]
    text = column.astype(object).where(column.notna(), MISSING).astype(str)
    codes, found = pd.factorize(text.where(text.str.strip() != "", MISSING), sort=True)
    last = [name for name in (keys.NOVEL_LABEL, MISSING) if name in found]
    listed = first or []
    kept = listed if key == keys.LABEL else [name for name in listed if name in set(found)]
    names = [*kept, *(str(name) for name in found if name not in {*kept, *last}), *last]
    place = {name: i for i, name in enumerate(names)}
    order = np.array([place[str(name)] for name in found], dtype=np.int64)
    return Grouping(key=key, names=names, code=order[codes])
