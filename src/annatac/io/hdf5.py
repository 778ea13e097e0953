"""Opens HDF5 files and says plainly what is wrong with those that cannot be read or written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from annatac.errors import AnnatacError, DamagedFileError, InputError, MissingFileError


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Raises
    ------
    MissingFileError
        The file does not exist.
    DamagedFileError
        The file is truncated or corrupt: found on opening it, or on reading from it within the block.
    """
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist. Check the name and the folder.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except AnnatacError:
        raise
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: no permission. Ask its owner for read access.") from error
    except (OSError, RuntimeError) as error:
        raise DamagedFileError(
            f"{path} is damaged: HDF5 says '{error}'. Expected a whole HDF5 file of {path.stat().st_size:,} "
            "bytes or more; copy or download it again."
        ) from error


class _Sink(io.RawIOBase):
    """A file for HDF5 to write to, which never fails: the first failure is kept, and what follows is dropped.

    HDF5 cannot take a failed write. It tries again for every part of the file that it closes, h5py prints a
    traceback for each, and the process may die on leaving. The file is lost anyhow.
    """

    def __init__(self, path: Path, mode: str) -> None:
        self.file = path.open(mode, buffering=0)
        self.failure: OSError | None = None

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        while len(rest) and self.failure is None:
            try:
                rest = rest[self.file.write(rest) or 0 :]
            except OSError as error:
                self.failure = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        if self.failure is None:
            try:
                return self.file.truncate(size)
            except OSError as error:
                self.failure = error
        return size or 0

    def flush(self) -> None:
        """Do nothing: the file is not buffered."""


@contextmanager
def writing_hdf5(path: Path, *, new: bool) -> Iterator[h5py.File]:
    """Open an HDF5 file for writing, a new one or one that exists.

    Raises
    ------
    OSError
        With the number of what went wrong (disk full, ...), whatever HDF5 makes of it.
    """
    sink = _Sink(path, "w+b" if new else "r+b")
    try:
        with h5py.File(sink, "w" if new else "r+") as file:
            yield file
    except Exception:
        if sink.failure is None:
            raise
    finally:
        sink.file.close()
    if sink.failure is not None:
        raise sink.failure


def text(value: Any) -> str:
    """Return an HDF5 string, or the only string of an array, as str."""
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def texts(dataset: h5py.Dataset) -> list[str]:
    """Return a dataset of strings, of any shape, as a list of str."""
    return [text(value) for value in np.asarray(dataset[...]).ravel().tolist()]
