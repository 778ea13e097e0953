"""AnnData on disk: ``.h5ad``, ``.zarr`` and the ATAC modality of MuData's ``.h5mu``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import AnnatacWarning, DamagedFileError, InputError, MissingDependencyError
from annatac.genome.assemblies import genome_label
from annatac.io.counts import add_coordinates, as_counts, refuse_empty
from annatac.io.hdf5 import open_hdf5
from annatac.io.snapatac2 import has_fragments

if TYPE_CHECKING:
    from anndata import AnnData

_ROWS = 2048  # cells of a dense matrix read at once
_SLOTS = ("obs", "var", "uns", "obsm", "varm", "obsp", "varp", "layers")
_MODALITIES = ("atac", "peaks", "chromatin")


def _has_x(file: h5py.File) -> bool:
    if "X" not in file:
        return False
    x = file["X"]
    if isinstance(x, h5py.Dataset):
        return len(x.shape or ()) == 2
    return x.attrs.get("encoding-type", "") != "null"


def _refuse_without_x(path: Path, layers: list[str]) -> InputError:
    has = f"it has layers {', '.join(layers)}" if layers else "it has no layers either"
    copy = (
        f"`adata.X = adata.layers['{layers[0]}']` and write it again"
        if layers
        else "write it with its counts"
    )
    return InputError(f"{path} has no X, the matrix of counts ({has}). Expected cells x peaks in X: {copy}.")


def _tidy(adata: AnnData, path: Path, *, in_memory: bool = True) -> AnnData:
    """Return ``adata`` with CSR integer counts, coordinates in var, and the assembly's usual name in uns."""
    refuse_empty(adata.shape, path)
    if in_memory:
        adata.X = as_counts(adata.X)
        refuse_empty(adata.shape, path, n_counts=adata.X.nnz)
    adata.var = add_coordinates(adata.var)
    stated = adata.uns.get(keys.GENOME)
    if isinstance(stated, str):
        adata.uns[keys.GENOME] = genome_label(stated)
    return adata


def holds_fragments_only(path: Path) -> bool:
    """Whether this h5ad file has SnapATAC2's fragments and no matrix with features."""
    with open_hdf5(path) as file:
        return has_fragments(file) and (not _has_x(file) or _n_vars(file) == 0)


def _n_vars(file: h5py.File) -> int:
    var = file["var"]
    if isinstance(var, h5py.Dataset):
        return len(var)
    index = var.attrs.get("_index", "_index")
    return len(var[index]) if index in var else 0


def read_h5ad(path: Path, *, backed: bool = False) -> AnnData:
    """Return an h5ad file with X as CSR (dense X is read a part at a time), counts as found.

    Parameters
    ----------
    backed
        Leave X on disk, as it is there; CSC, from which cells cannot be taken, is read all the same.

    Raises
    ------
    DamagedFileError, InputError
        A truncated file; no X; an empty matrix.
    """
    import anndata as ad

    with open_hdf5(path) as file:
        if not _has_x(file):
            raise _refuse_without_x(path, list(file.get("layers", ())))
        dense = isinstance(file["X"], h5py.Dataset)
        # rows of CSC cannot be taken without reading all of it
        backed = backed and (dense or file["X"].attrs.get("encoding-type") != "csc_matrix")
        with warnings.catch_warnings():  # of files that older versions wrote; they are read all the same
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", message=".*older version of AnnData.*")
            adata = ad.read_h5ad(path, backed="r" if backed or dense else None)
        if backed:
            return _tidy(adata, path, in_memory=False)
        if dense:
            x = file["X"]
            parts = [as_counts(x[a : a + _ROWS]) for a in range(0, x.shape[0], _ROWS)]
            refuse_empty(adata.shape, path)
            raw = None if adata.raw is None else ad.AnnData(_loaded(adata.raw.X), adata.obs, adata.raw.var)
            whole = ad.AnnData(
                X=sp.vstack(parts, format="csr"),
                **{name: getattr(adata, name) for name in ("obs", "var", "uns")},
                **{name: dict(getattr(adata, name)) for name in ("obsm", "varm", "obsp", "varp", "layers")},
            )
            if raw is not None:
                whole.raw = raw
            adata.file.close()
            adata = whole
    return _tidy(adata, path)


def _loaded(matrix: Any) -> Any:
    return matrix.to_memory() if hasattr(matrix, "to_memory") else matrix[...]


def read_zarr(path: Path, *, backed: bool = False) -> AnnData:
    """Return an AnnData zarr store with X as CSR, counts as found; ``backed`` leaves a CSR X on disk.

    Raises
    ------
    MissingDependencyError
        The package zarr is not installed.
    DamagedFileError, InputError
        Not an AnnData store, or parts of it are missing; no X; an empty matrix.
    """
    try:
        import zarr
    except ImportError as error:
        raise MissingDependencyError(
            f"{path} is a zarr store, and the package zarr is not installed. Run `pip install zarr`."
        ) from error
    import anndata as ad

    try:
        store: Any = zarr.open(str(path), mode="r")
        if "obs" not in store or "var" not in store:
            raise InputError(
                f"{path} is a zarr store, but not one of AnnData: it has {', '.join(store) or 'nothing'}. "
                "Expected "
                "X, obs and var."
            )
        if "X" not in store or store["X"].attrs.get("encoding-type") == "null":
            raise _refuse_without_x(path, list(store["layers"]) if "layers" in store else [])
        if backed and store["X"].attrs.get("encoding-type") == "csr_matrix":
            slots = {name: ad.io.read_elem(store[name]) for name in _SLOTS if name in store}
            return _tidy(ad.AnnData(X=ad.io.sparse_dataset(store["X"]), **slots), path, in_memory=False)
        adata = ad.io.read_zarr(str(path))
    except InputError:
        raise
    except Exception as error:  # what zarr raises for a missing or cut chunk differs between its versions
        raise DamagedFileError(
            f"{path} is damaged: {type(error).__name__}: {error}. Expected a whole AnnData zarr store; "
            "copy or "
            "download it again."
        ) from error
    return _tidy(adata, path)


def read_h5mu(path: Path) -> AnnData:
    """Return the ATAC modality of a MuData file; columns of the common obs are added to its obs.

    Raises
    ------
    DamagedFileError, InputError
        A truncated file; no modality ``atac`` (those present are named); an empty matrix.
    """
    from anndata.io import read_elem

    with open_hdf5(path) as file:
        found = list(file["mod"])
        chosen = [name for name in found if name.lower() in _MODALITIES]
        if not chosen:
            raise InputError(
                f"{path} has no modality 'atac'; it has {', '.join(found) or 'none'}. Write the modality "
                "that holds "
                "the peaks with `mdata.mod[NAME].write_h5ad(...)` and give that file."
            )
        group = file["mod"][chosen[0]]
        if not _has_x(group):
            raise _refuse_without_x(path, list(group.get("layers", ())))
        adata = read_elem(group)
        common = read_elem(file["obs"]) if "obs" in file else pd.DataFrame(index=adata.obs_names)
    if common.index.is_unique and adata.obs_names.isin(common.index).all():
        new = [c for c in common.columns if c not in adata.obs.columns and ":" not in str(c)]
        adata.obs = adata.obs.join(common[new])
    if len(chosen) > 1:
        warnings.warn(
            f"{path} has the modalities {', '.join(chosen)}; '{chosen[0]}' is used.",
            AnnatacWarning,
            stacklevel=2,
        )
    return _tidy(adata, path)
