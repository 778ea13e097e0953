"""Gives freed memory back to the system now and then, so that a long run does not grow.

Batches differ in size, and what glibc keeps of freed ones comes in pieces that the next ones do not fit where something
that stays lies in between. Most of that is oneDNN's kernels, which the command line has it not keep
(``annatac.cli.allocator``); a program that has not asked for this, and bfloat16, whose kernels are kept elsewhere too,
would grow by some 40 MB for every thousand cells annotated, all of it free.
"""

from __future__ import annotations

import ctypes
import sys


def glibc() -> ctypes.CDLL | None:
    """Return the C library of the process where it is glibc, None elsewhere (macOS, musl)."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  (only glibc has it)
    except (OSError, AttributeError):
        return None
    return library


def give_back_freed_memory() -> bool:
    """Return the heap's free pages to the system where it is glibc's, and whether it is."""
    library = glibc()
    if library is None:
        return False
    trim = library.malloc_trim
    trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int
    trim(0)
    return True
