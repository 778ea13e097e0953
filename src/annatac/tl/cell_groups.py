"""The cells of each type, and their fragment files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import keys
from annatac.errors import AnnatacWarning, InputError, LabelError, nearest
from annatac.io.fragment_cells import CellFragmentReader, CellFragments, warn_of_match

if TYPE_CHECKING:
    from anndata import AnnData

Fragments: TypeAlias = str | Path | Mapping[str, str | Path]
ALL_CELLS = "all cells"


@dataclass(frozen=True, kw_only=True)
class CellGroups:
    """Cells by type.

    ``names``: the types that are used, in the order of the model's types, then of the column; ``code``
    (int64, one a cell): their number, -1 for cells left out; ``n_cells`` (int64, one a type); ``order``: all
    types of the column, by which plots choose colours.
    """

    names: list[str]
    code: npt.NDArray[np.int64]
    n_cells: npt.NDArray[np.int64]
    order: list[str]


def cell_groups(
    adata: AnnData, groupby: str | None = None, *, min_cells: int = 10, types: list[str] | None = None
) -> CellGroups:
    """Return the cells of each type of ``obs[groupby]``; without it ``annatac_label``, else all in one.

    Raises
    ------
    LabelError
        No such column (the nearest is named), no such type, or no type with ``min_cells`` cells.

    Warns
    -----
    AnnatacWarning
        Types of fewer cells are left out (they are named).
    """
    if groupby is None and keys.LABEL not in adata.obs:
        n = np.array([adata.n_obs], dtype=np.int64)
        return CellGroups(
            names=[ALL_CELLS], code=np.zeros(adata.n_obs, np.int64), n_cells=n, order=[ALL_CELLS]
        )
    column = keys.LABEL if groupby is None else groupby
    if column not in adata.obs:
        raise LabelError(
            f"obs has no column '{column}'.{nearest(column, map(str, adata.obs.columns))} "
            f"It has: {', '.join(map(str, adata.obs.columns)) or 'none'}."
        )
    values = adata.obs[column]
    known = values.notna().to_numpy()
    text = values.astype(str).to_numpy(dtype=object)
    present = set(text[known])
    listed = (
        [str(name) for name in values.cat.categories]
        if isinstance(values.dtype, pd.CategoricalDtype)
        else sorted(present)
    )
    classes = [str(name) for name in adata.uns.get(keys.UNS, {}).get("classes", [])]
    order = list(dict.fromkeys([*classes, *listed]))
    if types is not None:
        for name in types:
            if name not in present:
                raise LabelError(
                    f"No cell has the type '{name}' in obs['{column}'].{nearest(name, present)} "
                    f"Types: {', '.join(sorted(present))}."
                )
        present &= set(types)
    sizes = pd.Series(text[known]).value_counts()
    names = [name for name in order if name in present and sizes[name] >= min_cells]
    small = [f"{name} ({sizes[name]})" for name in order if name in present and sizes[name] < min_cells]
    if not names:
        raise LabelError(
            f"No type in obs['{column}'] has {min_cells} cells; there are: {', '.join(small) or 'none'}. "
            "Lower min_cells, or name another column."
        )
    if small:
        warnings.warn(
            f"Types of fewer than {min_cells} cells are left out: {', '.join(small)}.",
            AnnatacWarning,
            stacklevel=3,
        )
    number = {name: i for i, name in enumerate(names)}
    code = np.array(
        [number.get(name, -1) if ok else -1 for name, ok in zip(text, known, strict=True)], dtype=np.int64
    )
    return CellGroups(
        names=names, code=code, n_cells=np.bincount(code[code >= 0], minlength=len(names)), order=order
    )


def cell_fragments(
    adata: AnnData,
    fragments: Fragments,
    *,
    regions: pd.DataFrame | None = None,
    on_read: Callable[[CellFragmentReader], None] | None = None,
) -> Iterator[CellFragments]:
    """Yield the fragments of the cells; ``cell`` is the row in ``adata``.

    Parameters
    ----------
    fragments
        One fragment file, or one a sample, by the sample's name: cells of a sample are those with that
        ``obs['sample']``, or with names that begin with ``sample:`` (also ``sample#``, ``sample_``).
    regions
        See :meth:`annatac.io.fragment_cells.CellFragmentReader.read`.
    on_read
        Called with the reader of each file once it is read, for the shares that matched.

    Raises
    ------
    InputError
        No cell has that sample, or no barcode matches a cell.

    Warns
    -----
    AnnatacWarning
        Names had to be shortened, or cells have no fragments; the shares that match.
    """
    names = adata.obs_names.astype(str).to_numpy()
    files = fragments if isinstance(fragments, Mapping) else {"": fragments}
    if not files:
        raise InputError("No fragment file is given.")
    readers = []
    for sample, path in files.items():
        rows = np.arange(adata.n_obs) if sample == "" else _rows_of_sample(adata, sample)
        readers.append((rows, CellFragmentReader(path, list(names[rows]))))
    for rows, reader in readers:
        for part in reader.read(regions):
            yield CellFragments(chrom=part.chrom, start=part.start, end=part.end, cell=rows[part.cell])
        warn_of_match(reader, whole_file=regions is None, stacklevel=4)
        if on_read is not None:
            on_read(reader)


def _rows_of_sample(adata: AnnData, sample: str) -> npt.NDArray[np.int64]:
    if keys.SAMPLE in adata.obs:
        column = adata.obs[keys.SAMPLE].astype(str)
        rows = np.flatnonzero((column == sample).to_numpy())
        known = sorted(column.unique())
    else:
        names = adata.obs_names.astype(str)
        rows = np.flatnonzero(names.str.startswith((f"{sample}:", f"{sample}#", f"{sample}_")))
        known = sorted(set(names.str.extract(r"^(.+)[:#_]", expand=False).dropna()))[:20]
    if not len(rows):
        raise InputError(
            f"No cell belongs to the sample '{sample}'.{nearest(sample, known)} Samples of the cells: "
            f"{', '.join(known) or 'none'}."
        )
    return rows
