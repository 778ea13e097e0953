"""Memory that was freed goes back to the system, even where the allocator was told to keep it."""

from __future__ import annotations

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


def test_what_is_not_glibc_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert give_back_freed_memory() is False


@pytest.mark.skipif(not give_back_freed_memory(), reason="the C library is not glibc")
def test_freed_memory_goes_back_although_the_allocator_keeps_it():
    own = {
        name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")
    }  # Dask sets one
    subprocess.run([sys.executable, "-c", CODE], check=True, env=own)
