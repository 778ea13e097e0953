"""What the tests of several processes run in each of them: ``python processes.py SCENARIO FOLDER``.

The processes find each other as those of torchrun do (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT), without
the seconds that torchrun itself takes to start.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import torch

import annatac
from annatac.config import Recipe
from annatac.corpus import Corpus, store
from annatac.errors import AnnatacError
from annatac.train.distributed import check_agreement, gather_arrays, rank, share, together, world_size
from annatac.train.finetune import FinetuneTask
from annatac.train.pretraining import PretrainTask


def recipe(**changes: object) -> Recipe:
    """Three epochs of accumulated batches with every random stream in use and weighted classes."""
    changes = {"epochs": 3, "batch_size": 16, "accumulate": 2, "patience": 9} | changes
    own = Recipe.load("debug")
    return replace(
        own,
        model=replace(own.model, dropout=0.4),
        pretrain=replace(own.pretrain, **changes),
        finetune=replace(own.finetune, class_weight="balanced", label_smoothing=0.1, **changes),
    )


def finetune(folder: Path, name: str, *, resume: bool = False, **changes: object) -> None:
    """Fine-tune; one process fits what held-out cells teach, and every one returns it."""
    annotator = annatac.finetune(
        anndata.read_h5ad(folder / "cells.h5ad"), label_key="cell_type", output=folder / name,
        recipe=recipe(**changes), resume=resume, overwrite=True,
    )  # fmt: skip
    assert annotator.trust is not None
    assert annotator.artifact.calibration == annatac.load(folder / name).artifact.calibration


def pretrain(folder: Path, name: str, **changes: object) -> None:
    cells = anndata.read_h5ad(folder / "cells.h5ad")
    annatac.pretrain(cells, output=folder / name, recipe=recipe(**changes), overwrite=True)


def pretrain_from(folder: Path, name: str, *, resume: bool = False) -> None:
    """Pre-train on the corpus in the folder, read in blocks."""
    store.POOL_TOKENS, store.BLOCK = 600, 8
    own = recipe(batch_size=8, validation_fraction=0.2)
    cells = Corpus.open(folder / "corpus")
    annatac.pretrain(cells, output=folder / name, recipe=own, resume=resume, overwrite=True)


def at_call(n: int, act: Callable[[], None], task: type = FinetuneTask) -> None:
    """Let the n-th loss of a task in this process do something first."""
    original, calls = task.loss, []

    def loss(self: object, asked: object) -> object:
        calls.append(asked)
        if len(calls) == n:
            act()
        return original(self, asked)

    task.loss = loss


def training(folder: Path) -> None:
    finetune(folder, "finetune")
    pretrain(folder, "pretrain")


def stopping(folder: Path) -> None:
    """Resume what one process began; then Ctrl-C reaches process 1 alone; then it is killed."""
    finetune(folder, "from_one", resume=True)
    original, number = FinetuneTask.loss, int(os.environ["RANK"])
    if number == 1:
        at_call(9, lambda: os.kill(os.getpid(), signal.SIGINT))
    try:
        finetune(folder, "to_one")
    except AnnatacError as error:
        print(described(error), file=sys.stderr, flush=True)
    FinetuneTask.loss = original
    if number == 1:
        at_call(9, lambda: os.kill(os.getpid(), signal.SIGKILL))
    finetune(folder, "killed")


def pretrain_corpus(folder: Path) -> None:
    """Pre-train on a corpus; then again, and process 1 is killed in the second epoch."""
    pretrain_from(folder, "streamed")
    if int(os.environ["RANK"]) == 1:
        at_call(17, lambda: os.kill(os.getpid(), signal.SIGKILL), PretrainTask)
    pretrain_from(folder, "killed")


@together
def exchange(folder: Path) -> None:
    """Shares cover all once; arrays of any length come back in order; whoever differs is named."""
    own = np.arange(7, dtype=np.float32).reshape(7, 1) @ np.ones((1, 2), dtype=np.float32)
    whole = gather_arrays(own[share(7)])
    empty = gather_arrays(np.full(0 if rank() else 2, 5, dtype=np.int64))
    if rank() == 0:
        (folder / "exchange.json").write_text(
            json.dumps([whole[:, 1].tolist(), empty.tolist(), world_size()])
        )
    check_agreement("same", "cells")
    check_agreement(f"other {rank() == 1}", "cells")


def odd_batches(folder: Path) -> None:
    """A batch larger than the data, and batches with fewer cells than processes; then :func:`exchange`."""
    finetune(folder, "one_batch", batch_size=10_000, accumulate=50)
    finetune(folder, "one_cell", batch_size=1, accumulate=40, epochs=1)
    exchange(folder)


CELLS_A_BLOCK = 25


def annotating(folder: Path) -> None:
    """Name the cells of ``query.h5ad`` in blocks of 25, then the one of ``cell.h5ad``."""
    from annatac import jobs
    from annatac.annotate import blocks

    blocks.BLOCK = CELLS_A_BLOCK
    model = folder / "model"
    jobs.annotate([folder / "query.h5ad"], folder / "out.h5ad", model=model, csv=folder / "out.csv")
    jobs.annotate([folder / "cell.h5ad"], folder / "cell_out.h5ad", model=model)


def described(error: AnnatacError) -> str:
    return f"{type(error).__name__} told_elsewhere={getattr(error, 'told_elsewhere', None)}: {error}"


def start(scenario: str, folder: Path, n: int) -> list[tuple[int, str]]:
    """Run a scenario in n processes; return exit code and standard error of each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        "WORLD_SIZE": str(n),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    running = [
        subprocess.Popen(
            [sys.executable, __file__, scenario, str(folder)],
            env={**os.environ, **shared, "RANK": str(i), "LOCAL_RANK": str(i)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(n)
    ]
    try:
        said = [process.communicate(timeout=120)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, text) for process, text in zip(running, said, strict=True)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        globals()[sys.argv[1]](Path(sys.argv[2]))
    except AnnatacError as error:
        sys.exit(described(error))
