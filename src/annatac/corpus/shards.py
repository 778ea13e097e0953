"""A shard: the open islands and classes of some cells, one safetensors file that is read in pieces.

Tensors: ``indptr`` int64 (n_cells + 1), ``islands`` int32 (n_tokens), ``classes`` uint8 (n_tokens): those of
a CSR matrix of cells x islands. Islands ascend within a cell.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from safetensors.numpy import save_file

from annatac.errors import DamagedFileError, InputError, MissingFileError
from annatac.io.atomic import atomic_path
from annatac.pp.universe import MAX_OPENNESS

SHARD_TOKENS = 2**24  # open islands a shard: 84 MB
_DTYPES = {"indptr": "I64", "islands": "I32", "classes": "U8"}  # as safetensors names them
_REPAIR = "Copy the corpus again, or write it anew into another folder."


@dataclass(frozen=True, kw_only=True)
class Shard:
    """What the manifest says of a shard."""

    file: str  # relative to the corpus
    n_cells: int
    n_tokens: int
    bytes: int
    sha256: str


def cut(tokens: sp.csr_matrix, n_tokens: int = SHARD_TOKENS) -> Iterator[sp.csr_matrix]:
    """Yield consecutive cells of about ``n_tokens`` open islands each; at least one cell."""
    first = 0
    while first < tokens.shape[0]:
        past = tokens.indptr[first] + n_tokens
        stop = max(first + 1, int(np.searchsorted(tokens.indptr, past, side="right")) - 1)
        yield tokens[first:stop]
        first = stop


def write_shard(path: Path, tokens: sp.csr_matrix, *, file: str) -> Shard:
    """Write cells x islands (uint8 CSR, classes 1..5) as a shard, whole or not at all.

    Raises
    ------
    InputError
        Classes out of 1..5, or islands that do not ascend within a cell.
    OutputError
        The disk is full, or the folder not writable; nothing is left behind.
    """
    islands = tokens.indices.astype(np.int32, copy=False)
    if tokens.nnz:
        if not 1 <= tokens.data.min() <= tokens.data.max() <= MAX_OPENNESS:
            raise InputError(
                f"Openness classes of {tokens.data.min()} to {tokens.data.max()} were found; 1 to "
                f"{MAX_OPENNESS} are expected. Make tokens with annatac.pp.tokenize."
            )
        steps = np.diff(islands) > 0
        starts = tokens.indptr[1:-1]
        steps[starts[(starts > 0) & (starts < tokens.nnz)] - 1] = True
        if not steps.all():
            raise InputError("The islands of a cell must ascend, each once. Call sort_indices() before.")
    arrays = {
        "indptr": tokens.indptr.astype(np.int64) - int(tokens.indptr[0]),
        "islands": islands,
        "classes": tokens.data.astype(np.uint8, copy=False),
    }
    with atomic_path(path) as temporary:
        save_file(arrays, temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        n_bytes = temporary.stat().st_size
    return Shard(file=file, n_cells=tokens.shape[0], n_tokens=int(tokens.nnz), bytes=n_bytes, sha256=digest)


class ShardReader:
    """Reads runs of cells of one shard. Nothing is mapped: what was read is what is held.

    Raises
    ------
    MissingFileError, DamagedFileError
        The file is absent, of another size than the manifest says, or no shard.
    """

    def __init__(self, folder: Path, shard: Shard) -> None:
        self.path, self.shard = folder / shard.file, shard
        try:
            n_bytes = self.path.stat().st_size
        except OSError as error:
            raise MissingFileError(f"{self.path} is missing ({error.strerror}). {_REPAIR}") from error
        if n_bytes != shard.bytes:
            raise DamagedFileError(
                f"{self.path} has {n_bytes:,} bytes; {shard.bytes:,} are expected: it is truncated or "
                f"altered. {_REPAIR}"
            )
        self._starts = self._tensors()
        self.indptr = self._read("indptr", 0, shard.n_cells + 1, np.int64)
        if self.indptr[0] != 0 or self.indptr[-1] != shard.n_tokens or (np.diff(self.indptr) < 0).any():
            raise self._damaged("its cells do not add up")

    def _tensors(self) -> dict[str, int]:
        """Return where each tensor starts; the header is that of safetensors."""
        with self.path.open("rb") as file:
            n_header = int.from_bytes(file.read(8), "little")
            if n_header > 100_000:
                raise self._damaged("its header is not one of a shard")
            try:
                header = json.loads(file.read(n_header))
                starts = {}
                for name, dtype in _DTYPES.items():
                    if header[name]["dtype"] != dtype:
                        raise self._damaged(f"{name} is {header[name]['dtype']}, expected {dtype}")
                    starts[name] = 8 + n_header + int(header[name]["data_offsets"][0])
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise self._damaged("its header is not one of a shard") from error
        return starts

    def read(self, first: int, stop: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
        """Return islands and classes of the cells ``first`` to ``stop - 1``, one after the other."""
        start, end = int(self.indptr[first]), int(self.indptr[stop])
        return (
            self._read("islands", start, end - start, np.int32),
            self._read("classes", start, end - start, np.uint8),
        )

    def _read(self, name: str, start: int, n: int, dtype: Any) -> npt.NDArray[Any]:
        array = np.empty(n, dtype=dtype)
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise MissingFileError(f"{self.path} cannot be read ({error.strerror}). {_REPAIR}") from error
        try:
            view = array.data.cast("B") if n else memoryview(b"")
            offset = self._starts[name] + start * array.itemsize
            while len(view):
                n_read = os.preadv(handle, [view], offset)
                if n_read == 0:
                    raise self._damaged("it ends too early")
                view, offset = view[n_read:], offset + n_read
        finally:
            os.close(handle)
        return array

    def verify(self) -> None:
        """Hold the whole file against its checksum.

        Raises
        ------
        DamagedFileError
            They differ.
        """
        with self.path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != self.shard.sha256:
                raise self._damaged("its content does not fit its checksum")

    def _damaged(self, why: str) -> DamagedFileError:
        return DamagedFileError(f"{self.path} is damaged: {why}. {_REPAIR}")
