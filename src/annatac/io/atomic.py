"""Outputs that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annatac.errors import OutputError


def _explain(error: OSError, path: Path) -> OutputError:
    reasons = {
        errno.ENOSPC: f"the disk is full: free some space, or write elsewhere than {path.parent}",
        errno.EDQUOT: f"your disk quota is used up: free some space, or write elsewhere than {path.parent}",
        errno.EACCES: f"no permission to write in {path.parent}: choose a folder that you may write to",
        errno.EPERM: f"no permission to write in {path.parent}: choose a folder that you may write to",
        errno.EROFS: f"{path.parent} is read-only: choose a folder that you may write to",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"Cannot write {path}: {reason}. Nothing was written.")


def _is_write_failure(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


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
        raise _explain(error, path) from error
    try:
        temporary = folder / path.name
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if _is_write_failure(error) and not isinstance(error, OutputError):
            raise _explain(error, path) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
        raise _explain(error, path) from error
    try:
        temporary = folder / path.name
        temporary.mkdir()
        yield temporary
        if path.exists():
            os.replace(path, folder / "replaced")
        os.replace(temporary, path)
    except OSError as error:
        if _is_write_failure(error) and not isinstance(error, OutputError):
            raise _explain(error, path) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
