"""Memory that was freed goes back to the system, even where the allocator was told to keep it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from annatac.train.freed_memory import give_back_freed_memory

CODE = """
import numpy as np
from annatac.cli.allocator import keep_memory
from annatac.train.freed_memory import give_back_freed_memory

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

assert keep_memory()
blocks = [np.ones(2**17) for _ in range(200)]  # 1 MB each
small = [np.ones(100) for _ in range(10)]
last = blocks.pop()  # above it all others are free, but not at the end of the heap
before = resident_mb()
blocks.clear()
kept = resident_mb()
assert give_back_freed_memory()
assert before - kept < 20, (before, kept)
assert kept - resident_mb() > 150, (kept, resident_mb())
"""

SHAPES = """
import ctypes
from annatac.cli.allocator import keep_memory, keep_no_kernels

class Heap(ctypes.Structure):
    _fields_ = [(f"field{i}", ctypes.c_size_t) for i in range(10)]

heap = ctypes.CDLL(None).mallinfo2
heap.restype = Heap
keep_memory()
keep_no_kernels()
import torch

def used_mb_after(widths):
    for width in widths:
        torch.nn.functional.gelu(torch.ones(3, width, 8))
    return heap().field7 / 1e6  # uordblks

before = used_mb_after(range(10, 20))
after = used_mb_after(range(100, 500))
assert after - before < 1, (before, after)
"""


def test_what_is_not_glibc_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert give_back_freed_memory() is False


@pytest.mark.skipif(not give_back_freed_memory(), reason="the C library is not glibc")
def test_freed_memory_goes_back_although_the_allocator_keeps_it():
    own = {
        name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")
    }  # Dask sets one
    subprocess.run([sys.executable, "-c", CODE], check=True, env=own)


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library is not glibc 2.33 or later"
)
def test_no_shape_of_a_batch_leaves_a_kernel_in_the_heap():
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "ONEDNN_"))}
    subprocess.run([sys.executable, "-c", SHAPES], check=True, env=own)
