"""Real processes over gloo: losses of one process, exact resume with other numbers of them, clean ends."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from annatac.corpus.streams import keyed_dropout
from annatac.errors import ConfigError, Interrupted
from annatac.model import artifact
from annatac.simulate import simulate_cells
from annatac.train.checkpoint import FILE
from annatac.train.device import choose_device
from annatac.train.distributed import from_first, gather_arrays, rank, share, sum_over, together, world_size
from annatac.train.finetune import FinetuneTask
from annatac.train.runlog import read_run_log

_spec = importlib.util.spec_from_file_location("processes", Path(__file__).with_name("processes.py"))
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

FIGURES = ("train_loss", "valid_loss", "valid_accuracy", "score")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with 120 cells, three of them without an open island."""
    cells = simulate_cells(120, cell_types=3, n_islands=200, open_islands=60, donors=4, seed=1)
    cells.X.data[: cells.X.indptr[3]] = 0
    cells.X.eliminate_zeros()
    cells.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path


def losses(model: Path) -> list[list[float]]:
    """The figures of every epoch, in order."""
    events = [event for event in read_run_log(model / "run.jsonl") if event["event"] == "epoch"]
    assert [event["epoch"] for event in events] == list(range(len(events)))
    return [[event[name] for name in FIGURES if name in event] for event in events]


def interrupted_at(monkeypatch, n: int, folder: Path, name: str) -> None:
    """One process, stopped by Ctrl-C in the n-th batch."""
    with monkeypatch.context() as patch:
        patch.setattr(FinetuneTask, "loss", FinetuneTask.loss)  # put back afterwards
        processes.at_call(n, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Interrupted):
            processes.finetune(folder, name)


def check_equal_to_one_process(folder: Path, names: list[str], train: Callable[[Path], None]) -> None:
    """Losses and weights of the models in ``folder`` are those that ``train`` makes in this process alone."""
    several = {name: losses(folder / name) for name in names}
    weights = {name: artifact.load(folder / name).network.state_dict() for name in names}
    train(folder)
    for name in names:
        np.testing.assert_allclose(several[name], losses(folder / name), rtol=0, atol=1e-5, err_msg=name)
        for key, value in artifact.load(folder / name).network.state_dict().items():
            torch.testing.assert_close(weights[name][key], value, rtol=0, atol=2e-3, msg=f"{name} {key}")


def test_losses_are_those_of_one_process(folder):
    assert [code for code, _ in processes.start("training", folder, 2)] == [0, 0]
    check_equal_to_one_process(folder, ["finetune", "pretrain"], processes.training)


def test_batches_of_any_size_in_three_processes(folder):
    """And: shares cover all once, arrays of any length come back in order, whoever differs is named."""
    ends = processes.start("odd_batches", folder, 3)
    assert json.loads((folder / "exchange.json").read_text()) == [list(range(7)), [5, 5], 3]
    assert all("Process 1 has other cells than process 0. All processes must be given" in s for _, s in ends)
    assert sum("told_elsewhere=False" in said for _, said in ends) == 1, "one of them tells"
    check_equal_to_one_process(folder, ["one_batch", "one_cell"], processes.odd_batches)


def test_stopped_killed_and_resumed_with_another_number_of_processes(folder, monkeypatch):
    processes.finetune(folder, "whole")
    whole = losses(folder / "whole")
    interrupted_at(monkeypatch, 9, folder, "from_one")
    (code, first), (killed, second) = processes.start("stopping", folder, 2)
    assert (code, killed) == (1, -signal.SIGKILL)
    np.testing.assert_allclose(losses(folder / "from_one"), whole, rtol=0, atol=1e-5)

    stopped = [text.splitlines()[-n] for text, n in ((first, 2), (second, 1))]
    assert all("Interrupted told_elsewhere=" in line and "--resume" in line for line in stopped)
    assert sorted("told_elsewhere=False" in line for line in stopped) == [False, True], "one of them tells"
    processes.finetune(folder, "to_one", resume=True)
    np.testing.assert_allclose(losses(folder / "to_one"), whole, rtol=0, atol=1e-5)
    log = [event["event"] for event in read_run_log(folder / "to_one" / "run.jsonl")]
    assert (log.count("interrupt"), log.count("resume"), log.count("epoch")) == (1, 1, 3)

    lost = first.splitlines()[-1]
    assert "ProcessLost told_elsewhere=False: Another process of this run has ended" in lost
    assert f"The last checkpoint is in {folder / 'killed.run'}: repeat the command with --resume" in lost
    assert not (folder / "killed").exists()
    assert [path.name for path in (folder / "killed.run").iterdir() if path.name != "run.jsonl"] == [FILE]
    processes.finetune(folder, "killed", resume=True)
    np.testing.assert_allclose(losses(folder / "killed"), whole, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_the_command_under_torchrun(folder):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "annatac", "finetune",
        str(folder / "cells.h5ad"), "-o", str(folder / "model"), "--recipe", "debug", "--label-key",
    ]  # fmt: skip
    ended = subprocess.run([*command, "cell_type"], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Trained on 120 cells of 3 types") == 1, "one process speaks"
    assert ended.stdout.count("Written: ") == 1
    ended = subprocess.run([*command, "type"], capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    assert ended.stderr.count("error: ") == 1, ended.stderr
    assert ended.stdout == ""


# ------------------------------------------------------------------------------------- one process


def test_one_process_is_alone():
    assert (world_size(), rank(), share(5)) == (1, 0, slice(0, 5))
    assert sum_over(torch.tensor([2.0])).tolist() == [2]
    assert gather_arrays(np.arange(3)).tolist() == [0, 1, 2]
    assert from_first(lambda: {"a": torch.ones(1)})["a"].item() == 1
    assert together(lambda: world_size())() == 1


def test_dropout_belongs_to_the_cell():
    factors = keyed_dropout(0.25, np.array([7, 8, 9]), 400, seed=1, epoch=2)
    assert factors.dtype == np.float32
    assert set(np.unique(factors)) == {0, np.float32(1 / 0.75)}
    assert abs((factors == 0).mean() - 0.25) < 0.04
    assert np.array_equal(keyed_dropout(0.25, np.array([9, 7]), 400, seed=1, epoch=2), factors[[2, 0]])
    for seed, epoch in ((1, 3), (2, 2)):
        assert not np.array_equal(
            keyed_dropout(0.25, np.array([7, 8, 9]), 400, seed=seed, epoch=epoch), factors
        )
    assert keyed_dropout(0, np.array([7]), 4, seed=1, epoch=2) is None


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda:1")
    assert choose_device("cuda:0") == torch.device("cuda:0")
    assert chosen[-1] == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(
        ConfigError, match=r"Process 2 of this machine has no GPU: there are 2\. Start at most"
    ):
        choose_device("auto")
