"""Opens HDF5 files and says plainly what is wrong with those that cannot be read."""

from __future__ import annotations

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


def text(value: Any) -> str:
    """Return an HDF5 string, or the only string of an array, as str."""
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def texts(dataset: h5py.Dataset) -> list[str]:
    """Return a dataset of strings, of any shape, as a list of str."""
    return [text(value) for value in np.asarray(dataset[...]).ravel().tolist()]
