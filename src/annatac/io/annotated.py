"""An annotated file written block by block: neither the query's matrix nor the new arrays are held whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd

from annatac.io.atomic import atomic_path
from annatac.io.hdf5 import writing_hdf5
from annatac.io.write import can_be_extended, extend, quiet, write_whole

if TYPE_CHECKING:
    from anndata import AnnData

_CELLS = 2_048  # whose counts are copied at once


class AnnotatedFile:
    """An h5ad file under way: arrays of the cells are appended in order, columns and the rest come last."""

    def __init__(self, file: h5py.File, obs_names: pd.Index) -> None:
        self._file, self._obs_names = file, obs_names
        self._n_done = 0

    def append(self, obsm: Mapping[str, np.ndarray]) -> None:
        """Write the next cells' rows of the ``obsm`` arrays; the slots are the same each time."""
        from anndata.io import write_elem

        if "obsm" not in self._file:
            write_elem(self._file, "obsm", {})
        group = self._file["obsm"]
        n_rows = 0
        for slot, array in obsm.items():
            if not self._n_done:
                if slot in group:
                    del group[slot]
                whole = group.create_dataset(slot, (len(self._obs_names), *array.shape[1:]), array.dtype)
                whole.attrs["encoding-type"], whole.attrs["encoding-version"] = "array", "0.2.0"
            n_rows = len(array)
            group[slot][self._n_done : self._n_done + n_rows] = array
        self._n_done += n_rows

    def finish(self, obs: pd.DataFrame, uns: Mapping[str, Any]) -> None:
        """Write the new columns (one row a cell, index = the cells' names) and the ``uns`` entries."""
        if self._n_done != len(self._obs_names) or not obs.index.equals(self._obs_names):
            raise ValueError("every cell must be there once, in the order of adata.obs_names")
        extend(self._file, obs, {}, uns)


@contextmanager
def annotated_file(out: str | Path, *, source: str | Path | None, adata: AnnData) -> Iterator[AnnotatedFile]:
    """Yield the query as a file to be annotated; it takes the place of ``out`` when the block ends well.

    Parameters
    ----------
    source
        The file that the query was read from: where it is an h5ad file with these cells and features, it is
        copied as it is.
    adata
        The query, cells x features; X may be on disk, from where it is copied a part at a time.

    Raises
    ------
    OutputError
        ``out`` cannot be written; an older file is left as it was.
    """
    with atomic_path(out) as temporary, quiet():
        copied = source is not None and can_be_extended(Path(source), adata)
        if copied:
            assert source is not None
            shutil.copyfile(source, temporary)
        elif not on_disk(adata.X):
            write_whole(adata, temporary)
        else:
            write_whole(_without_x(adata), temporary)
        with writing_hdf5(temporary, new=False) as file:
            if not copied and on_disk(adata.X):
                _copy_x(file, adata)
            yield AnnotatedFile(file, adata.obs_names)


def on_disk(x: Any) -> bool:
    """Tell whether a sparse matrix of counts was left on disk (a dense one is never, but in an h5ad file)."""
    return hasattr(x, "to_memory")


def _without_x(adata: AnnData) -> AnnData:
    from anndata import AnnData

    return AnnData(
        obs=adata.obs.copy(),
        var=adata.var.copy(),
        uns=dict(adata.uns),
        **{slot: dict(getattr(adata, slot)) for slot in ("obsm", "varm", "obsp", "varp", "layers")},
    )


def _copy_x(file: h5py.File, adata: AnnData) -> None:
    """Copy the counts, CSR, some cells at a time."""
    if "X" in file:
        del file["X"]
    group = file.create_group("X")
    group.attrs["encoding-type"], group.attrs["encoding-version"] = "csr_matrix", "0.1.0"
    group.attrs["shape"] = np.array(adata.shape, dtype=np.int64)
    indptr = np.zeros(adata.n_obs + 1, dtype=np.int64)
    for first in range(0, adata.n_obs, _CELLS):
        x = adata.X[first : first + _CELLS]
        indices = x.indices.astype(np.int32 if adata.n_vars < 2**31 else np.int64)
        if "data" not in group:
            for name, array in (("data", x.data), ("indices", indices)):
                group.create_dataset(
                    name, (0,), array.dtype, maxshape=(None,), chunks=(1 << 16,), compression="lzf"
                )
        at = indptr[first]
        for name, array in (("data", x.data), ("indices", indices)):
            group[name].resize(at + len(array), axis=0)
            group[name][at:] = array
        indptr[first + 1 : first + 1 + x.shape[0]] = at + x.indptr[1:]
    group["indptr"] = indptr
