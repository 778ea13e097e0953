"""Tasks on Dask workers: results and errors come back; a killed worker costs one try, not the run."""

from __future__ import annotations

import os
import signal
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from annatac.errors import ConfigError, InputError, MissingDependencyError
from annatac.jobs import parallel
from annatac.jobs.parallel import SchedulerLost, WorkerKilled, run_all


def act(task: str) -> str:
    """Kill this process as often as the task says, by files that count; raise; or answer."""
    if task.startswith("kill"):
        _, times, folder = task.split(" ")
        for i in range(int(times)):
            flag = Path(folder) / str(i)
            if not flag.exists():
                flag.touch()
                os.kill(os.getpid(), signal.SIGKILL)
    if task == "raise":
        raise InputError("this sample is bad")
    return f"did {task.split(' ')[0]}"


def test_in_this_process():
    ended = dict(run_all(act, ["a", "raise", "b"]))
    assert (ended[0], ended[2]) == ("did a", "did b")
    assert isinstance(ended[1], InputError)
    assert list(run_all(act, [])) == []


@pytest.mark.slow
def test_on_a_local_cluster(tmp_path):
    pytest.importorskip("distributed")
    import cloudpickle

    cloudpickle.register_pickle_by_value(__import__("sys").modules[__name__])
    (tmp_path / "once").mkdir()
    (tmp_path / "always").mkdir()
    tasks = ["a", "raise", f"kill 1 {tmp_path / 'once'}", f"kill 9 {tmp_path / 'always'}", "b"]
    ended = dict(run_all(act, tasks, workers=2))
    assert [ended[i] for i in (0, 2, 4)] == ["did a", "did kill", "did b"]
    assert isinstance(ended[1], InputError)
    assert str(ended[1]) == "this sample is bad"
    assert isinstance(ended[3], WorkerKilled)
    assert "enough memory" in str(ended[3])
    assert len(list((tmp_path / "always").iterdir())) == 2, "tried twice"


def test_no_scheduler_answers():
    pytest.importorskip("distributed")
    with pytest.raises(ConfigError, match="No Dask scheduler answers at nonsense"):
        next(run_all(act, ["a"], scheduler="nonsense"))


class _Gone:
    """A client whose scheduler ends while the second task runs."""

    loop = None

    def nthreads(self):
        return {"worker": 1}

    def submit(self, function, task, pure):
        return _Future(task)


class _Future:
    def __init__(self, task):
        self.task = task

    def exception(self):
        if self.task == "b":
            raise CancelledError("scheduler-connection-lost")

    def result(self):
        return act(self.task)


class _Completed(list):
    """The futures in the order in which they were made."""

    def __init__(self, loop):
        super().__init__()
        self.add = self.append


def test_a_scheduler_that_ends(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("distributed.as_completed", _Completed)
    ended = parallel._on(_Gone(), act, ["a", "b", "c"])
    assert next(ended) == (0, "did a")
    with pytest.raises(SchedulerLost, match="has ended or cannot be reached any more"):
        next(ended)


def test_without_dask(monkeypatch):
    monkeypatch.setattr(parallel, "has_dask", lambda: False)
    with pytest.raises(MissingDependencyError, match=r"annatac\[dask\].*--workers 1"):
        next(run_all(act, ["a"], workers=2))
