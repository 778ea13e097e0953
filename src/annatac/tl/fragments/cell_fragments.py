"""The fragments of the cells, from one file or one a sample."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import keys
from annatac.errors import AnnatacWarning, InputError, nearest
from annatac.io.fragment_cells import CellFragmentReader, CellFragments, warn_of_match

if TYPE_CHECKING:
    from anndata import AnnData

Fragments: TypeAlias = str | Path | Mapping[str, str | Path]


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
    _warn_of_others(adata, np.concatenate([rows for rows, _ in readers]))
    for rows, reader in readers:
        for part in reader.read(regions):
            yield CellFragments(chrom=part.chrom, start=part.start, end=part.end, cell=rows[part.cell])
        warn_of_match(reader, whole_file=regions is None, stacklevel=4)
        if on_read is not None:
            on_read(reader)


def _warn_of_others(adata: AnnData, rows: npt.NDArray[np.int64]) -> None:
    """Warn of cells whose sample has no file among those given."""
    without = np.setdiff1d(np.arange(adata.n_obs), rows)
    if len(without):
        names = adata.obs[keys.SAMPLE].iloc[without].astype(str).unique() if keys.SAMPLE in adata.obs else []
        of = f" (sample {', '.join(repr(str(name)) for name in names[:5])})" if len(names) else ""
        warnings.warn(
            f"{len(without):,} of the {adata.n_obs:,} cells{of} are of no sample with a fragment file: they have no "
            "fragments here.",
            AnnatacWarning,
            stacklevel=5,
        )


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
