"""Tells what an input is, by its content and not by its name."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py

from annatac.errors import InputError, MissingFileError
from annatac.io.hdf5 import open_hdf5, text
from annatac.io.tenx import either
from annatac.io.textblocks import open_checked

ACCEPTED = """Accepted are:
  filtered_peak_bc_matrix.h5 (Cell Ranger ATAC), filtered_feature_bc_matrix.h5 (ARC),
  their folders with matrix.mtx(.gz), and an outs/ folder;
  .h5ad and .zarr (AnnData, SnapATAC2), .h5mu (MuData with 'atac'), .arrow (ArchR);
  fragments.tsv or fragments.tsv.gz."""

# matrices first (they need no choice of cells), then fragments with the cells of Cell Ranger's tables
_OUTS_H5 = ("filtered_peak_bc_matrix.h5", "filtered_feature_bc_matrix.h5")
_OUTS_MTX = ("filtered_peak_bc_matrix", "filtered_feature_bc_matrix")
_OUTS_FRAGMENTS = ("fragments.tsv", "atac_fragments.tsv")


def sniff(path: Path, *, prefer_fragments: bool = False) -> tuple[str, Path]:
    """Return the kind of an input and the file or folder to read.

    The kind is one of 'tenx', 'mtx', 'h5ad', 'zarr', 'h5mu', 'arrow', 'fragments'.

    Raises
    ------
    MissingFileError
        Nothing has this name.
    InputError
        An unknown kind of file, or a folder without any; the message lists what is accepted.
    DamagedFileError
        A truncated HDF5 file.
    """
    if not path.exists():
        raise MissingFileError(f"{path} does not exist. Check the name, and the folder it is looked for in.")
    if path.is_dir():
        return _folder(path, prefer_fragments=prefer_fragments)
    if path.stat().st_size == 0:
        raise InputError(f"{path} is an empty file (0 bytes). {ACCEPTED}")
    if h5py.is_hdf5(path) or path.suffix in (".h5", ".h5ad", ".h5mu", ".arrow", ".hdf5"):
        return _hdf5(path), path
    if path.name.endswith(".zarr.zip"):
        return "zarr", path
    return _other(path)


def _folder(path: Path, *, prefer_fragments: bool) -> tuple[str, Path]:
    if any((path / name).exists() for name in (".zgroup", ".zattrs", "zarr.json")):
        return "zarr", path
    if either(path, "matrix.mtx"):
        return "mtx", path
    fragments = either(path, *_OUTS_FRAGMENTS)
    if prefer_fragments and fragments:
        return "fragments", fragments
    for name in _OUTS_H5:
        if (path / name).is_file():
            return "tenx", path / name
    for name in _OUTS_MTX:
        if (path / name).is_dir() and either(path / name, "matrix.mtx"):
            return "mtx", path / name
    if fragments:
        return "fragments", fragments
    if (path / "outs").is_dir():
        return _folder(path / "outs", prefer_fragments=prefer_fragments)
    names = sorted(child.name for child in path.iterdir())
    found = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"
    raise InputError(
        f"The folder {path} holds nothing that can be read: it has {found}. Give a file in it, or the folder "
        f"with the filtered matrix. {ACCEPTED}"
    )


def _hdf5(path: Path) -> str:
    with open_hdf5(path) as file:
        names = set(file)
        if ("Class" in file and text(file["Class"][...]) == "Arrow") or "Fragments" in names:
            return "arrow"
        if "mod" in names:
            return "h5mu"
        if "obs" in names and "var" in names:
            return "h5ad"
        if isinstance(file.get("matrix"), h5py.Group) or any(
            isinstance(file[name], h5py.Group) and "gene_names" in file[name] for name in names
        ):
            return "tenx"
        shown = ", ".join(sorted(names)[:8]) or "nothing"
    hint = " It is a .snap file: import its fragments with SnapATAC2." if {"AM", "BD"} <= names else ""
    raise InputError(f"{path} is an HDF5 file of an unknown kind: it holds {shown}.{hint} {ACCEPTED}")


def _other(path: Path) -> tuple[str, Path]:
    with open_checked(path) as file:
        head = file.read(1 << 16)
    if head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(31).decompress(head)
        except zlib.error:
            head = b""
    if head.startswith(b"%%MatrixMarket"):
        return "mtx", path.parent
    if head.startswith(b"BAM\1"):
        raise InputError(
            f"{path} is a BAM file. Make fragments of it (`sinto fragments`, SnapATAC2's "
            "make_fragment_file) and "
            f"give those. {ACCEPTED}"
        )
    if head[:5] in (b"RDX2\n", b"RDX3\n") or head[:2] in (b"X\n", b"A\n"):
        raise InputError(
            f"{path} is an R object. Write its counts with Matrix::writeMM, with peaks.bed and "
            "barcodes.tsv in the "
            f"same folder, and give that folder. {ACCEPTED}"
        )
    if head.startswith(b"TBI\1"):
        raise InputError(f"{path} is an index. Give the fragments file beside it: {path.with_suffix('')}.")
    if "fragments" in path.name or _like_fragments(head):
        return "fragments", path
    raise InputError(f"{path} is of an unknown kind: it starts with {head[:40]!r}. {ACCEPTED}")


def _like_fragments(head: bytes) -> bool:
    for line in head.split(b"\n"):
        if line and not line.startswith(b"#"):
            fields = line.split(b"\t")
            return len(fields) >= 3 and fields[1].isdigit() and fields[2].isdigit()
    return False
