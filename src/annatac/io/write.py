"""Writes what annotation adds to a query, without loading the query's matrix."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from annatac.errors import OutputError
from annatac.io.atomic import atomic_path
from annatac.io.hdf5 import writing_hdf5

if TYPE_CHECKING:
    from anndata import AnnData

_CHUNK = 2**17  # entries of a sparse matrix that are compressed together


def write_annotated(
    out: str | Path,
    *,
    source: str | Path | None,
    adata: AnnData,
    obs: pd.DataFrame,
    obsm: Mapping[str, np.ndarray],
    uns: Mapping[str, Any],
) -> None:
    """Write the query with the new obs columns, obsm and uns entries to ``out`` (h5ad), whole or not at all.

    Where the query was an h5ad file and still has its cells and features, the file is copied and only the
    new entries are written into the copy: X, layers and all other entries stay as they are on disk and are
    never loaded. Otherwise (other formats, chosen cells, fragments, files of anndata before 0.7) the AnnData
    is written whole.

    Parameters
    ----------
    source
        The file that the query was read from, or None.
    adata
        The query, cells x features; not changed.
    obs
        New columns, one row a cell, index = ``adata.obs_names``. A column that exists is
        replaced, in its place.
    obsm
        New arrays, cells x anything. Entries that exist are replaced, here and in ``uns``.
    uns
        New entries; anything that anndata can write.

    Raises
    ------
    OutputError
        ``out`` cannot be written; an older file is left as it was.
    """
    if not obs.index.equals(adata.obs_names):
        raise ValueError("obs must have one row a cell, in the order of adata.obs_names")
    obs = obs.copy(deep=False)
    for name in obs.columns[[isinstance(dtype, pd.StringDtype) for dtype in obs.dtypes]]:
        obs[name] = obs[name].astype(object)
    with atomic_path(out) as temporary, quiet():
        if source is not None and can_be_extended(Path(source), adata):
            shutil.copyfile(source, temporary)
            with writing_hdf5(temporary, new=False) as file:
                extend(file, obs, obsm, uns)
        else:
            write_whole(_whole(adata, obs, obsm, uns), temporary)


def write_cells(adata: AnnData, out: str | Path) -> None:
    """Write cells to an h5ad file, compressed, whole or not at all.

    Raises
    ------
    OutputError
        ``out`` cannot be written; an older file is left as it was.
    """
    with atomic_path(out) as temporary, quiet():
        write_whole(adata, temporary, compression="lzf")


def write_parts(
    out: str | Path,
    parts: Iterable[tuple[sp.csr_matrix, pd.DataFrame]],
    *,
    var: pd.DataFrame,
    uns: Mapping[str, Any],
    categories: Mapping[str, list[str]],
) -> None:
    """Write cells that come part by part (counts and obs) to an h5ad file; one part at a time is in memory.

    Parameters
    ----------
    parts
        One or more; cells x features as CSR, and as many rows of obs.
    categories
        Columns of obs that become categorical, with their categories.

    Raises
    ------
    OutputError
        ``out`` cannot be written; nothing is left behind, and an older file is as it was.
    """
    from anndata import AnnData
    from anndata.io import sparse_dataset, write_elem

    tables: list[pd.DataFrame] = []
    with atomic_path(out) as temporary, quiet(), writing_hdf5(temporary, new=True) as file:
        for counts, obs in parts:
            if not tables:
                empty = AnnData(counts[:0].copy(), obs=obs.iloc[:0].copy(), var=var, uns=dict(uns))
                write_elem(file, "/", empty, dataset_kwargs={"compression": "lzf"})
                # of an empty matrix HDF5 would guess chunks of 4 kB, and then keeps an entry of each in memory
                write_elem(file, "X", empty.X, dataset_kwargs={"compression": "lzf", "chunks": (_CHUNK,)})
            try:
                sparse_dataset(file["X"]).append(counts)
            except OverflowError as error:
                raise OutputError(
                    f"{out} would hold more than 2,147,483,647 open peaks. Ask for fewer cells, or write several "
                    "files with different seeds."
                ) from error
            tables.append(obs)
        table = pd.concat(tables)
        for column, names in categories.items():
            table[column] = pd.Categorical(table[column], categories=names)
        write_elem(file, "obs", table)


def write_whole(adata: AnnData, path: Path, *, compression: str | None = None) -> None:
    """Write an h5ad file as ``AnnData.write_h5ad`` does, but for what happens on a full disk."""
    from anndata.io import write_elem

    adata.strings_to_categoricals()
    if adata.raw is not None:
        adata.strings_to_categoricals(adata.raw.var)
    options = {} if compression is None else {"compression": compression}
    with writing_hdf5(path, new=True) as file:
        write_elem(file, "/", adata, dataset_kwargs=options)


def can_be_extended(source: Path, adata: AnnData) -> bool:
    """Whether ``source`` is an h5ad file of groups (anndata 0.7 on) with just these cells and features."""
    if not source.is_file() or not h5py.is_hdf5(source):
        return False
    with h5py.File(source, "r") as file:
        obs = file.get("obs")
        if not isinstance(obs, h5py.Group) or "var" not in file or "X" not in file:
            return False
        if any(not isinstance(file[slot], h5py.Group) for slot in ("obsm", "uns") if slot in file):
            return False
        return _is_named(obs, adata.obs_names) and _is_named(file["var"], adata.var_names)


def _is_named(frame: h5py.Group | h5py.Dataset, names: pd.Index) -> bool:
    """Whether a data frame in an h5ad file has just these names, in this order."""
    index = frame.get(frame.attrs.get("_index", "_index")) if isinstance(frame, h5py.Group) else None
    if not isinstance(index, h5py.Dataset) or len(index) != len(names):
        return False
    return bool(np.array_equal(index.asstr()[...], names.to_numpy(dtype=str)))


def extend(
    file: h5py.File, obs: pd.DataFrame, obsm: Mapping[str, np.ndarray], uns: Mapping[str, Any]
) -> None:
    """Write new columns, arrays and entries into an h5ad file of groups; what exists is replaced."""
    from anndata.io import read_elem, write_elem

    if file["obs"].attrs.get("encoding-version") == "0.2.0":
        # columns are entries of their own: the existing ones are not touched
        group = file["obs"]
        order = [str(name) for name in group.attrs["column-order"]]
        for name in obs.columns:
            write_elem(group, str(name), _element(obs[name]))
        order += [str(name) for name in obs.columns if str(name) not in order]
        group.attrs["column-order"] = np.array(order, dtype=h5py.string_dtype())
    else:
        old = read_elem(file["obs"])
        write_elem(file, "obs", _joined(old, obs))
    for slot, entries in (("obsm", obsm), ("uns", uns)):
        if slot not in file:
            write_elem(file, slot, {})
        for name, value in entries.items():
            write_elem(file[slot], name, value)


def _element(column: pd.Series) -> Any:
    """Return a column's values as anndata writes a data frame's column."""
    if column.dtype == object:
        return column.to_numpy()
    return column.array if isinstance(column.dtype, pd.CategoricalDtype) else column.to_numpy()


def _joined(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    joined = old.copy(deep=False)
    for name in new.columns:
        joined[name] = new[name].array
    return joined


def _whole(
    adata: AnnData, obs: pd.DataFrame, obsm: Mapping[str, np.ndarray], uns: Mapping[str, Any]
) -> AnnData:
    from anndata import AnnData

    if adata.isbacked:
        adata = adata.to_memory()
    whole = AnnData(
        X=adata.X,
        obs=_joined(adata.obs, obs),
        var=adata.var,
        uns={**adata.uns, **uns},
        obsm={**adata.obsm, **obsm},
        varm=dict(adata.varm),
        obsp=dict(adata.obsp),
        varp=dict(adata.varp),
        layers=dict(adata.layers),
    )
    if adata.raw is not None:
        whole.raw = adata.raw.to_adata()
    return whole


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what anndata says of strings that it turns into categories while writing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module="anndata")
        yield
