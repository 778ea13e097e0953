"""The one training loop: epochs, optimiser steps, validation, checkpoints, exact resume."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

import torch
from torch import Tensor, nn

from annatac.config import OptimConfig
from annatac.corpus.batches import Rows
from annatac.errors import AnnatacError
from annatac.train.checkpoint import FILE, Progress, load_checkpoint, save_checkpoint
from annatac.train.output import kept_if_usable
from annatac.train.progress import ProgressBar
from annatac.train.runlog import RunLog

CHECKPOINT_EVERY_S = 120.0


class Interrupted(AnnatacError):
    """Training was stopped by the user; its checkpoint is usable."""

    exit_code = 130


class Task(Protocol):
    """What is trained: pre-training and fine-tuning each provide one."""

    phase: str
    fingerprint: str

    @property
    def network(self) -> nn.Module:
        """What is trained."""

    def batches(self, epoch: int) -> list[Rows]:
        """Return the batches of this epoch: every training cell once."""

    def loss(self, rows: Rows, epoch: int) -> Tensor:
        """Return the mean loss of the cells ``rows``."""

    def validate(self) -> dict[str, float]:
        """Return figures on the held-out cells, among them ``score``: higher is better.

        Nothing where no cell is held out; each epoch then counts as better than the one before.
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
        self.optimizer = _optimizer(task.network, config)
        self.place = Progress(task.fingerprint)
        self.best = _state(task.network)
        self.history: list[dict[str, float]] = []
        self.log = RunLog(folder)
        self._saved_at = time.monotonic()
        self.stop = False  # set by Ctrl-C, seen between two steps

    def start(self, *, resume: bool) -> None:
        """Take up the checkpoint in the folder, or begin."""
        task = self.task
        if resume and (self.folder / FILE).is_file():
            self.place, self.best = load_checkpoint(
                self.folder, task.network, self.optimizer, task.fingerprint
            )
            self.log.keep_until(self.place.epoch)
            self.log.write("resume", phase=task.phase, epoch=self.place.epoch, batch=self.place.batch)
            return
        self.log.path.unlink(missing_ok=True)
        self.log.write("start", phase=task.phase, seed=self.seed, epochs=self.config.epochs)
        # the weights as they start may already be the best: those of a base model, or the wide path alone
        self.place.best_score = task.validate().get("score", -math.inf)

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
            torch.manual_seed(self.seed * 1_000_003 + place.epoch)
            place.sums = {"loss": 0.0, "cells": 0.0}
        task.network.train()
        for group in groups[place.batch :]:
            n_cells = sum(len(rows) for rows in group)
            rate = learning_rate(config, place.step, place.epoch, config.epochs * len(groups))
            for settings in self.optimizer.param_groups:
                settings["lr"] = rate
            self.optimizer.zero_grad(set_to_none=True)
            for rows in group:
                loss = task.loss(rows, place.epoch)
                self._check(float(loss.detach()))
                (loss * (len(rows) / n_cells)).backward()
                place.sums["loss"] += float(loss.detach()) * len(rows)
            nn.utils.clip_grad_norm_(task.network.parameters(), config.gradient_clip)
            self.optimizer.step()
            place.sums["cells"] += n_cells
            n_cells_now += n_cells
            place.batch += 1
            place.step += 1
            bar.batch(place.epoch, place.batch / len(groups), n_cells_now / (time.monotonic() - began))
            if self.stop:
                self._interrupt()
            if time.monotonic() - self._saved_at > CHECKPOINT_EVERY_S:
                self.save()
        seconds = time.monotonic() - began
        figures = {"train_loss": place.sums["loss"] / max(place.sums["cells"], 1)}
        figures |= {name if name == "score" else f"valid_{name}": v for name, v in task.validate().items()}
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

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise AnnatacError(
                f"The loss became {loss} in epoch {self.place.epoch + 1}. Lower learning_rate (now "
                f"{self.config.learning_rate:g}) in the recipe and start anew."
            )

    def _interrupt(self) -> None:
        self.save()
        place = self.place
        self.log.write("interrupt", phase=self.task.phase, epoch=place.epoch, batch=place.batch)
        raise Interrupted(
            f"Stopped in epoch {place.epoch + 1} of {self.config.epochs}; a checkpoint is in {self.folder}. "
            "Repeat the command with --resume to go on from it."
        )

    def save(self) -> None:
        """Write the checkpoint."""
        save_checkpoint(self.folder, self.task.network, self.optimizer, self.best, self.place)
        self._saved_at = time.monotonic()


def run(
    task: Task, config: OptimConfig, folder: Path, *, seed: int, resume: bool = False, progress: bool = False
) -> Trained:
    """Train ``task`` and return its best weights.

    A checkpoint is kept in ``folder`` after every epoch, every two minutes, and on Ctrl-C; with ``resume``
    the run goes on from it and ends as it would have without the interruption.

    Raises
    ------
    Interrupted
        Ctrl-C; says how to go on.
    OutputError
        The checkpoint cannot be written.
    """
    with (
        kept_if_usable(folder, resume=resume),
        torch.random.fork_rng(),
        ProgressBar(task.phase, config.epochs, enabled=progress) as bar,
    ):
        loop = Loop(task, config, folder, seed)
        loop.start(resume=resume)
        with _stop_between_steps(loop):
            while loop.unfinished():
                loop.epoch(bar)
        loop.log.write("end", phase=task.phase, best_epoch=loop.place.best_epoch)
    return Trained(loop.best, loop.place.best_epoch, loop.history)


@contextmanager
def _stop_between_steps(loop: Loop) -> Iterator[None]:
    """Let Ctrl-C wait for the step under way, so that the checkpoint is exact; a second one does not wait."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        loop.stop = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
