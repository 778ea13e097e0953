"""One writer at a time: a lock that a killed process gives back by itself."""

from __future__ import annotations

import errno
import fcntl
import getpass
import json
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annatac.errors import AnnatacWarning, OutputError

FILE = ".lock"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the folder's lock while the block runs.

    The operating system drops the lock with the process that held it, however that ended: a file left by a
    killed writer (a stale lock) is taken over without a word.

    Raises
    ------
    OutputError
        Another process writes; the message says which, where and since when.
    """
    path = folder / FILE
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise OutputError(f"Cannot write in {folder}: {error.strerror or error}.") from error
    try:
        _take(handle, path)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(_holder()).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _take(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise OutputError(
                f"Another process writes into {path.parent}: {_described(path)}. Wait until it has ended, or "
                "write into another folder."
            ) from None
        warnings.warn(
            f"The file system of {path.parent} has no locks ({error.strerror}): see to it that nobody else "
            "writes there.",
            AnnatacWarning,
            stacklevel=4,
        )


def _holder() -> dict[str, object]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may know no name
        user = str(os.getuid())
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return {"host": socket.gethostname(), "pid": os.getpid(), "user": user, "since": since}


def _described(path: Path) -> str:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return f"process {held['pid']} of {held['user']} on {held['host']}, since {held['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has just begun"
