"""Keeps freed memory in the process: on glibc, two thirds of the training time can go into page faults.

glibc hands large blocks back to the system when they are freed, and each new batch then faults its pages in
again. Its thresholds can be raised while the process runs, before anything large is allocated. The price is
memory: the process keeps what it once needed (``annatac demo``: 2.3 s in the system and 2.0 GB at the peak, 47 s
and 0.8 GB without).

What is kept must fit the next batch. oneDNN compiles a kernel for each new shape of a batch and keeps a thousand of
them; they come to lie between the blocks that batches leave behind and cut these up, so that the heap grows by hundreds
of MB, most of it free. None is kept: the same cells take no longer (docs/speed.md).
"""

from __future__ import annotations

import ctypes
import os

from annatac.train.freed_memory import glibc

# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_THRESHOLD_BYTES = 1 << 30
_KERNELS_KEPT = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def keep_memory() -> bool:
    """Raise glibc's thresholds to 1 GiB and return whether that was done.

    Elsewhere (macOS, musl, another allocator), or where the user has set one of them, nothing is changed.
    """
    library = None if any(name in os.environ for name in _VARIABLES) else glibc()
    if library is None:
        return False
    mallopt = library.mallopt
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    # older versions of glibc take no more than 32 MiB for the first
    raised = any(mallopt(_M_MMAP_THRESHOLD, size) == 1 for size in (_THRESHOLD_BYTES, 1 << 25))
    return raised and mallopt(_M_TRIM_THRESHOLD, _THRESHOLD_BYTES) == 1


def keep_no_kernels() -> None:
    """Have oneDNN keep none of its kernels, unless the user has said how many; before it is used first."""
    os.environ.setdefault(_KERNELS_KEPT, "0")
