"""Tasks in parallel processes, each watched for time and memory; every result is one file, so that a run resumes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annatac import __version__
from annatac.benchmark.environments import is_ready
from annatac.benchmark.live import not_set_up
from annatac.benchmark.method import method
from annatac.benchmark.processes import group_memory_mb, kill_group
from annatac.benchmark.tasks import Task
from annatac.corpus.lock import writing
from annatac.errors import ConfigError
from annatac.io.atomic import atomic_path

SCHEMA = 1
TASKS = "tasks"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_POLL_S = 0.1
_LOG_LINES = 20

Outcome = dict[str, Any]


@dataclass(kw_only=True)
class _Running:
    task: Task
    process: subprocess.Popen[bytes]
    folder: Path
    began: float
    peak_mb: float = 0.0
    stopped: str = ""  # 'timeout' or 'out_of_memory' once it was killed

    @property
    def result(self) -> Path:
        return self.folder / f"{self.task.id}.result.json"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.task.id}.log"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a task may take: wall-clock seconds, resident memory (MiB) of all its processes, threads."""

    seconds: float = 1800.0
    memory_mb: float = 8192.0
    threads: int = 1


@dataclass(kw_only=True)
class Progress:
    """Told after each task: how many are done (results from before included), of how many, and the last outcome."""

    n_done: int
    n_tasks: int
    outcome: Outcome = field(repr=False)


def run_tasks(
    tasks: Sequence[Task],
    output: str | Path,
    *,
    limits: Limits | None = None,
    workers: int = 1,
    retry_failed: bool = False,
    on_done: Callable[[Progress], None] | None = None,
) -> list[Path]:
    """Run the tasks that have no result yet, and return the result files of all, in the order of the tasks.

    Parameters
    ----------
    output
        Folder; results are ``tasks/ID.json`` in it, each written whole at the end of its task. After Ctrl-C or a
        crash the same call goes on where it was.
    workers
        Tasks at a time.
    retry_failed
        Run tasks again that crashed. Those that ran out of time or memory run again where the limit is now higher.

    Notes
    -----
    A task that crashes, runs out of time or memory, or needs an environment that is not set up, is recorded as such
    and does not stop the others. The last runs again as soon as its environment is there.

    Raises
    ------
    ConfigError
        ``workers`` is under 1.
    OutputError
        Another run writes into the folder, or it cannot be written.
    """
    if workers < 1:
        raise ConfigError(f"workers is {workers}; at least 1 is expected.")
    limits = limits or Limits()
    folder = Path(output) / TASKS
    with atomic_path(folder / ".probe") as probe:  # says in our words where the folder cannot be written
        probe.touch()
    (folder / ".probe").unlink()
    paths = [folder / f"{task.id}.json" for task in tasks]
    waiting = [
        task
        for task, path in zip(tasks, paths, strict=True)
        if not _is_done(path, limits, retry=retry_failed)
    ]
    n_done = len(tasks) - len(waiting)
    with writing(Path(output)), tempfile.TemporaryDirectory(prefix="annatac-benchmark-") as scratch:
        running: list[_Running] = []
        try:
            while waiting or running:
                ended: list[Outcome] = []
                while waiting and len(running) < workers:
                    task = waiting.pop(0)
                    if lacking := _lacking(task):
                        ended.append(_record(task, limits, "not_set_up", lacking))
                    else:
                        running.append(_start(task, Path(scratch), limits))
                if running and not ended:
                    time.sleep(_POLL_S)
                for one in running[:]:
                    if _watch(one, limits):
                        running.remove(one)
                        ended.append(_outcome(one, limits))
                for outcome in ended:
                    with atomic_path(folder / f"{Task.from_dict(outcome['task']).id}.json") as path:
                        path.write_text(json.dumps(outcome) + "\n", encoding="utf-8")
                    n_done += 1
                    if on_done is not None:
                        on_done(Progress(n_done=n_done, n_tasks=len(tasks), outcome=outcome))
        finally:
            for one in running:
                kill_group(one.process)
    return paths


def _is_done(path: Path, limits: Limits, *, retry: bool) -> bool:
    try:
        outcome = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if outcome.get("schema") != SCHEMA:
        return False
    status = outcome["status"]
    if status == "timeout":
        return bool(outcome["limit_s"] >= limits.seconds)
    if status == "out_of_memory":
        return bool(outcome["limit_mb"] >= limits.memory_mb)
    if status == "not_set_up":
        return False
    return status == "ok" or not retry


def _lacking(task: Task) -> str:
    """Return what to say where the method's environment is missing; '' where it has what it needs."""
    environment = method(task.method).environment
    return not_set_up(environment) if environment and not is_ready(environment) else ""


def _start(task: Task, scratch: Path, limits: Limits) -> _Running:
    description = scratch / f"{task.id}.task.json"
    description.write_text(json.dumps(task.to_dict()), encoding="utf-8")
    environment = os.environ | dict.fromkeys(_THREADS, str(limits.threads))
    one = _Running(task=task, process=None, folder=scratch, began=time.monotonic())  # type: ignore[arg-type]
    with one.log.open("wb") as log:
        one.process = subprocess.Popen(
            [sys.executable, "-m", "annatac.benchmark.worker", str(description), str(one.result)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches this process alone, which ends the group
        )
    return one


def _watch(one: _Running, limits: Limits) -> bool:
    """Return whether the task has ended; end it where it is past a limit."""
    if one.process.poll() is not None:
        kill_group(one.process)  # what it may have left behind
        return True
    one.peak_mb = max(one.peak_mb, group_memory_mb(one.process.pid))
    if one.peak_mb > limits.memory_mb:
        one.stopped = "out_of_memory"
    elif time.monotonic() - one.began > limits.seconds:
        one.stopped = "timeout"
    if one.stopped:
        kill_group(one.process)
    return bool(one.stopped)


def _outcome(one: _Running, limits: Limits) -> Outcome:
    found: dict[str, Any] = {}
    status, error = "ok", ""
    log: list[str] = []
    if one.stopped or one.process.returncode or not one.result.is_file():
        status, error, log = _failure(one, limits)
    else:
        found = json.loads(one.result.read_text(encoding="utf-8"))
    costs = {
        "wall_s": time.monotonic() - one.began,
        "peak_mb": max(one.peak_mb, found.pop("own_peak_mb", 0.0)),
    }
    return {**_record(one.task, limits, status, error), **costs, "log": log, **found}


def _record(task: Task, limits: Limits, status: str, error: str) -> Outcome:
    return {
        "schema": SCHEMA,
        "version": __version__,
        "task": task.to_dict(),
        "status": status,
        "error": error,
        "log": [],
        "limit_s": limits.seconds,
        "limit_mb": limits.memory_mb,
        "wall_s": 0.0,
        "peak_mb": 0.0,
    }


def _failure(one: _Running, limits: Limits) -> tuple[str, str, list[str]]:
    """Return status, the last line that the task wrote, and the end of its log."""
    lines = one.log.read_text(encoding="utf-8", errors="replace").split("\n")
    lines = [line.rstrip() for line in lines if line.strip()][-_LOG_LINES:]
    if one.stopped == "timeout":
        return "timeout", f"stopped after {limits.seconds:g} s", lines
    if one.stopped:
        return "out_of_memory", f"stopped at {one.peak_mb:,.0f} of {limits.memory_mb:,.0f} MiB", lines
    last = lines[-1] if lines else "no message"
    code = one.process.returncode
    if code < 0:
        last = f"killed by {signal.Signals(-code).name}" + (f"; last line: {last}" if lines else "")
    status = (
        "out_of_memory"
        if last.startswith(("MemoryError", "numpy._core._exceptions._ArrayMemoryError"))
        else ""
    )
    return status or "failed", last, lines
