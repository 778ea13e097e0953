"""Outputs that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annatac.errors import AnnatacError, OutputError

_FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)
# How libraries word a failed write: HDF5 'errno = 28', safetensors 'Os { code: 28, ...' or 'os error 28'
_WORDED = re.compile(r"(?:errno = |code: |os error )(\d+)")


def _explain(number: int, path: Path, words: str) -> OutputError:
    reasons = {
        errno.ENOSPC: f"the disk is full: free some space, or write elsewhere than {path.parent}",
        errno.EDQUOT: f"your disk quota is used up: free some space, or write elsewhere than {path.parent}",
        errno.EFBIG: "files may not grow that large here: raise the limit (`ulimit -f`) or that of the disk",
        errno.EACCES: f"no permission to write in {path.parent}: choose a folder that you may write to",
        errno.EPERM: f"no permission to write in {path.parent}: choose a folder that you may write to",
        errno.EROFS: f"{path.parent} is read-only: choose a folder that you may write to",
        errno.ENOTDIR: f"{path.parent} is not a folder: choose another name",
        errno.EEXIST: f"{path.parent} is not a folder: choose another name",
    }
    return OutputError(f"Cannot write {path}: {reasons.get(number, words)}. Nothing was written.")


def write_failure(error: BaseException | None) -> int | None:
    """Return the error number of a failed write behind ``error`` (disk full, no permission, ...), or None.

    Libraries hide it: HDF5 and safetensors put it into the text of an error of another kind, and an error
    while closing the file may cover the first one.
    """
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        if number is None and (worded := _WORDED.search(str(error))):
            number = int(worded[1])
        if number in _FAILURES:
            return number
        error = error.__cause__ or error.__context__
    return None


def check_writable(path: str | Path) -> None:
    """Refuse an output path that cannot be written, before hours are spent on its content.

    Raises
    ------
    OutputError
        Its folder is no folder or not writable (nothing is made, not even missing folders).
    """
    path = Path(path)
    existing = path.parent
    while not existing.exists() and existing != existing.parent:
        if existing.is_symlink():
            break
        existing = existing.parent
    if not existing.is_dir():
        raise OutputError(f"Cannot write {path}: {existing} is not a folder. Choose another name.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise _explain(errno.EACCES, existing / path.name, "")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; it takes the place of ``path`` when the block ends well.

    Raises
    ------
    OutputError
        The folder does not exist and cannot be made, is not writable, or the disk is full.
        Whatever the failure, no part of the output is left behind and an older file stays as it was.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise OutputError(f"Cannot write {path}: it is a folder; give the name of a file.")
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OutputError:
        raise
    except OSError as error:
        raise _explain(error.errno or 0, path, error.strerror or str(error)) from error
    try:
        temporary = folder / path.name
        yield temporary
        _readable_as_usual(temporary, folder)
        os.replace(temporary, path)
    except AnnatacError:
        raise
    except Exception as error:
        number = write_failure(error)
        if number is None:
            raise
        raise _explain(number, path, "") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _readable_as_usual(path: Path, folder: Path) -> None:
    """Give a file the permissions of any new file of the user's: safetensors writes files for him alone."""
    if path.is_file():
        usual = folder / ".usual"
        usual.touch()
        path.chmod(usual.stat().st_mode)
        usual.unlink()


@contextmanager
def atomic_dir(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it takes the place of ``path`` when the block ends well.

    Raises
    ------
    OutputError
        ``path`` exists and ``overwrite`` is false, or it cannot be written (see :func:`atomic_path`).
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already. Pass --overwrite to replace it, or choose another name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise _explain(error.errno or 0, path, error.strerror or str(error)) from error
    try:
        temporary = folder / path.name
        temporary.mkdir()
        yield temporary
        for file in temporary.rglob("*"):
            _readable_as_usual(file, folder)
        if path.exists():
            os.replace(path, folder / "replaced")
        os.replace(temporary, path)
    except AnnatacError:
        raise
    except Exception as error:
        number = write_failure(error)
        if number is None:
            raise
        raise _explain(number, path, "") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
