"""Processes that are watched: their memory, and an end to all of a group at once."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def group_memory_mb(group: int) -> float:
    """Return the resident memory (MiB) of all processes of a group; 0 where none is left."""
    if not (_PROC / "self" / "statm").exists():
        return _by_ps(group)
    page_mb = os.sysconf("SC_PAGE_SIZE") / 2**20
    total = 0.0
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # the name in brackets may hold spaces: fields count from its end (state, parent, group, ...)
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                total += int((folder / "statm").read_text().split()[1]) * page_mb
        except (OSError, IndexError, ValueError):
            continue  # it has ended meanwhile
    return total


def own_peak_mb() -> float:
    """Return the highest resident memory (MiB) that this process has had."""
    try:
        lines = (_PROC / "self" / "status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process started with ``start_new_session`` and all that it started, and wait for it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _by_ps(group: int) -> float:
    listed = subprocess.run(
        ["ps", "-A", "-o", "pgid=,rss="], capture_output=True, text=True, check=False
    ).stdout
    rows = (line.split() for line in listed.splitlines())
    return sum(int(row[1]) for row in rows if len(row) == 2 and row[0] == str(group)) / 1024
