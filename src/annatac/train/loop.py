"""The one training loop, for one process and many: epochs, steps, validation, checkpoints, exact resume."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from annatac.config import OptimConfig
from annatac.corpus.batches import Rows
from annatac.errors import AnnatacError, Interrupted
from annatac.train.ahead import ahead
from annatac.train.checkpoint import FILE, Progress, load_checkpoint, save_checkpoint
from annatac.train.distributed import (
    ProcessLost,
    check_agreement,
    is_first,
    rank,
    same_as_first,
    sum_gradients,
    sum_over,
    wait,
    world_size,
)
from annatac.train.freed_memory import give_back_freed_memory
from annatac.train.output import kept_if_usable
from annatac.train.progress import ProgressBar
from annatac.train.runlog import RunLog

TRIM_EVERY = 500  # steps
# By kind of device; what is asked of a GPU before it has done its work makes it stand still.
READ_AHEAD = {"cuda": 2}  # batches; elsewhere none
SETTLE_EVERY = {"cuda": 32}  # steps; elsewhere each
CHECKPOINT_EVERY_S = 120.0
ONE_SIGNAL_S = 3.0  # within that time a repeated signal is the same one: torchrun passes on what all have got


class BatchLoss(NamedTuple):
    """The mean loss of some cells, and the mean's denominator.

    ``weight`` is what the mean was divided by: the number of cells or tokens, or the sum of their weights.
    The parts of a batch that several processes hold are put together with it: the batch's mean is the sum
    of mean x weight over the parts, divided by the sum of their weights. 0 where the part has nothing to
    learn from.
    """

    mean: Tensor
    weight: float


class Task(Protocol):
    """What is trained: pre-training and fine-tuning each provide one.

    Every process has one over the same cells. All that is random in it is keyed by (seed, epoch, cell), so
    that a cell's share of the loss does not depend on the batch or the process it is met in.
    """

    phase: str
    fingerprint: str

    @property
    def network(self) -> nn.Module:
        """What is trained."""

    def batches(self, epoch: int) -> list[Rows]:
        """Return the batches of this epoch, every training cell once: the same list in every process."""

    def read(self, rows: Rows, epoch: int) -> Any:
        """Return what ``loss`` takes of the cells ``rows``, a batch or a process's part of one; never called empty.

        Where there is a GPU, a thread calls it ahead of the step.
        """

    def loss(self, read: Any) -> BatchLoss:
        """Return the mean loss of the cells that were read."""

    def validate(self) -> dict[str, float]:
        """Return figures on the held-out cells, among them ``score``: higher is better.

        Nothing where no cell is held out; each epoch then counts as better than the one before. Called in
        every process, and must return the same in each (see ``annatac.train.distributed.sum_over``).
        """


@dataclass(frozen=True)
class Trained:
    """Best weights and the figures of every epoch."""

    best: dict[str, Tensor]
    best_epoch: int
    history: list[dict[str, float]]


class Loop:
    """A run under way: the task, its optimiser and its place."""

    def __init__(self, task: Task, config: OptimConfig, folder: Path, seed: int) -> None:
        self.task, self.config, self.folder, self.seed = task, config, folder, seed
        self.device = next(task.network.parameters()).device
        self.optimizer = _optimizer(task.network, config)
        self.place = Progress(task.fingerprint)
        self.best = _state(task.network)
        self.history: list[dict[str, float]] = []
        self.log = RunLog(folder, enabled=is_first())
        self._saved_at = time.monotonic()
        self._unsettled: list[tuple[Tensor, int]] = []  # losses and cells of the last steps, may be under way
        self.stop = False  # set by Ctrl-C, seen between two steps

    def start(self, *, resume: bool) -> None:
        """Take up the checkpoint in the folder, or begin."""
        task = self.task
        check_agreement(task.fingerprint, "cells, labels, settings or seed")
        if resume and (self.folder / FILE).is_file():
            self.place, self.best = load_checkpoint(
                self.folder, task.network, self.optimizer, task.fingerprint
            )
            check_agreement(json.dumps(asdict(self.place)), "a checkpoint")
            self.log.keep_until(self.place.epoch)
            self.log.write("resume", phase=task.phase, epoch=self.place.epoch, batch=self.place.batch)
            return
        check_agreement("", "a checkpoint")
        same_as_first(task.network)
        self.best = _state(task.network)
        self.log.clear()
        # the weights as they start may already be the best: those of a base model, or the wide path alone
        figures = _named(task.validate())
        self.place.best_score = figures.get("score", -math.inf)
        self.log.write("start", phase=task.phase, seed=self.seed, epochs=self.config.epochs, **figures)

    def unfinished(self) -> bool:
        """Tell whether another epoch is to be run: not past the last, and patience not used up."""
        waited = self.place.epoch - 1 - self.place.best_epoch
        return self.place.epoch < self.config.epochs and waited < self.config.patience

    def epoch(self, bar: ProgressBar) -> None:
        """Run one epoch (or what is left of it), validate and save."""
        task, place, config = self.task, self.place, self.config
        batches = task.batches(place.epoch)
        groups = [batches[i : i + config.accumulate] for i in range(0, len(batches), config.accumulate)]
        began = time.monotonic()
        n_cells_now = 0
        if place.batch == 0:
            place.sums = {"loss": 0.0, "cells": 0.0}
        task.network.train()
        parts = [rows[rank() :: world_size()] for group in groups[place.batch :] for rows in group]
        lessons = ahead(
            lambda rows: task.read(rows, place.epoch) if len(rows) else None,
            parts,
            depth=READ_AHEAD.get(self.device.type, 0),
        )
        for group in groups[place.batch :]:
            n_cells = sum(len(rows) for rows in group)
            rate = learning_rate(config, place.step, place.epoch, config.epochs * len(groups))
            for settings in self.optimizer.param_groups:
                settings["lr"] = rate
            loss, stop = self._gradients(group, lessons)
            nn.utils.clip_grad_norm_(task.network.parameters(), config.gradient_clip)
            self.optimizer.step()
            self._unsettled.append((loss, n_cells))
            if len(self._unsettled) >= SETTLE_EVERY.get(self.device.type, 1):
                self._settle()
            n_cells_now += n_cells
            place.batch += 1
            place.step += 1
            if place.step % TRIM_EVERY == 0:
                give_back_freed_memory()
            bar.batch(place.epoch, place.batch / len(groups), n_cells_now / (time.monotonic() - began))
            if stop:
                self._interrupt()
            if is_first() and time.monotonic() - self._saved_at > CHECKPOINT_EVERY_S:
                self.save()
        self._settle()
        seconds = time.monotonic() - began
        figures = {"train_loss": place.sums["loss"] / max(place.sums["cells"], 1)}
        figures |= _named(task.validate())
        figures["cells_per_s"] = n_cells_now / max(seconds, 1e-9)
        score = figures.get("score")
        if score is None or score > place.best_score:
            place.best_score = -math.inf if score is None else score
            place.best_epoch = place.epoch
            self.best = _state(task.network)
        self.history.append(figures)
        self.log.write("epoch", phase=task.phase, epoch=place.epoch, **figures)
        bar.epoch(place.epoch, figures)
        place.epoch, place.batch = place.epoch + 1, 0
        self.save()

    def _gradients(self, group: list[Rows], lessons: Iterator[Any]) -> tuple[Tensor, bool]:
        """Leave the gradient of the batches' mean loss a cell in the parameters; ``lessons`` is what is read of them.

        Returns the sum over the cells of this mean, and whether a process wishes to stop. Each process
        takes every n-th cell of a batch, so that all have cells of like depth; a part may be empty.
        """
        task = self.task
        self.optimizer.zero_grad(set_to_none=True)
        n_cells, asked = sum(len(rows) for rows in group), False
        exact = torch.float32 if self.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
        loss = torch.zeros((), dtype=exact, device=self.device)
        for rows in group:
            lesson = next(lessons)
            mean, weight = (None, 0.0) if lesson is None else task.loss(lesson)
            whole, wishes = sum_over(torch.tensor([weight, self.stop], dtype=torch.float64)).tolist()
            asked = asked or wishes > 0
            if mean is not None:
                # where nothing is learnt from the batch, the gradient is zero whatever its part
                of_batch = weight / whole if whole > 0 else 1.0
                (mean * (of_batch * len(rows) / n_cells)).backward()  # type: ignore[no-untyped-call]
                loss += mean.detach().to(exact) * (of_batch * len(rows))
        sum_gradients([p for p in task.network.parameters() if p.requires_grad])
        return sum_over(loss), asked

    def _settle(self) -> None:
        """Book the losses of the last steps."""
        unsettled, self._unsettled = self._unsettled, []
        for tensor, n_cells in unsettled:
            loss = float(tensor)
            if not math.isfinite(loss):
                raise AnnatacError(
                    f"The loss became {loss} in epoch {self.place.epoch + 1}. Lower learning_rate (now "
                    f"{self.config.learning_rate:g}) in the recipe and start anew."
                )
            self.place.sums["loss"] += loss
            self.place.sums["cells"] += n_cells

    def _interrupt(self) -> None:
        self.save()
        wait()  # nobody says that there is a checkpoint before there is
        place = self.place
        self.log.write("interrupt", phase=self.task.phase, epoch=place.epoch, batch=place.batch)
        raise Interrupted(
            f"Stopped in epoch {place.epoch + 1} of {self.config.epochs}; a checkpoint is in {self.folder}. "
            "Repeat the command with --resume to go on from it."
        )

    def save(self) -> None:
        """Write the checkpoint, in the first process."""
        self._settle()
        if is_first():
            save_checkpoint(self.folder, self.task.network, self.optimizer, self.best, self.place)
        self._saved_at = time.monotonic()


def run(
    task: Task, config: OptimConfig, folder: Path, *, seed: int, resume: bool = False, progress: bool = False
) -> Trained:
    """Train ``task`` and return its best weights.

    A checkpoint is kept in ``folder`` after every epoch, every two minutes, and on Ctrl-C or SIGTERM; with
    ``resume`` the run goes on from it and ends as it would have without the interruption.

    In several processes (:func:`annatac.train.distributed.together`) the first one writes checkpoints and the
    run log and shows the bar; all return the same. The number of processes changes the last digits of the
    losses, nothing else, and may be another one when a run is resumed.

    Raises
    ------
    Interrupted
        Ctrl-C or SIGTERM; says how to go on.
    OutputError
        The checkpoint cannot be written.
    ProcessLost
        Another process ended; says how to go on.
    """
    with (
        _saying_how_to_go_on(folder),
        kept_if_usable(folder, resume=resume),
        ProgressBar(task.phase, config.epochs, enabled=progress and is_first()) as bar,
    ):
        loop = Loop(task, config, folder, seed)
        loop.start(resume=resume)
        with _stop_between_steps(loop):
            while loop.unfinished():
                loop.epoch(bar)
        loop.log.write("end", phase=task.phase, best_epoch=loop.place.best_epoch)
    return Trained(loop.best, loop.place.best_epoch, loop.history)


@contextmanager
def _saying_how_to_go_on(folder: Path) -> Iterator[None]:
    try:
        yield
    except ProcessLost as error:
        if not (folder / FILE).is_file():
            raise
        raise ProcessLost(
            f"{error} The last checkpoint is in {folder}: repeat the command with --resume to go on from it."
        ) from error


@contextmanager
def _stop_between_steps(loop: Loop) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the step under way, so that the checkpoint is exact.

    A second one does not wait. Schedulers of clusters send SIGTERM before they end a job.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    first_at = 0.0

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal first_at
        if not loop.stop:
            loop.stop, first_at = True, time.monotonic()
        elif world_size() == 1 or time.monotonic() - first_at > ONE_SIGNAL_S:
            for name, handler in before.items():
                signal.signal(name, handler)
            signal.raise_signal(number)

    for name in before:
        signal.signal(name, on_signal)
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def learning_rate(config: OptimConfig, step: int, epoch: int, n_steps: int) -> float:
    """Return the rate at a step: warm-up, then a half cosine to 2 % or the published steps."""
    warm = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "step":
        return config.learning_rate * warm * config.step_gamma ** (epoch // config.step_epochs)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(n_steps, 1))))
    return config.learning_rate * warm * (0.02 + 0.98 * cosine)


def _optimizer(network: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """Return AdamW (plain Adam where weight_decay is 0); per-island vectors do not decay."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            (free if "table." in name or parameter.ndim < 2 else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.learning_rate)


def _named(validated: dict[str, float]) -> dict[str, float]:
    """Return the figures on held-out cells by their names in the run log."""
    return {name if name == "score" else f"valid_{name}": value for name, value in validated.items()}


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
