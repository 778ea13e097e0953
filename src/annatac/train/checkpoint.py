"""Checkpoints: weights, optimiser and place in the run, as plain tensors and JSON (no pickle)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from annatac.errors import DamagedFileError, ModelError
from annatac.io.atomic import atomic_path

FILE = "checkpoint.safetensors"


@dataclass
class Progress:
    """Where a run stands. ``batch`` counts the batches of ``epoch`` that are done."""

    fingerprint: str
    epoch: int = 0
    batch: int = 0
    step: int = 0
    best_score: float = float("-inf")
    best_epoch: int = -1
    sums: dict[str, float] = field(default_factory=dict)  # of the epoch under way


def save_checkpoint(
    folder: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: dict[str, Tensor],
    progress: Progress,
) -> None:
    """Write ``checkpoint.safetensors`` into ``folder``, whole or not at all.

    Raises
    ------
    OutputError
        The disk is full or the folder not writable; the checkpoint before stays.
    """
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with atomic_path(folder / FILE) as path:
        save_file(tensors, path, metadata={"progress": json.dumps(asdict(progress))})


def load_checkpoint(
    folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str
) -> tuple[Progress, dict[str, Tensor]]:
    """Restore network and optimiser; return the progress and the best weights.

    There is no random state to restore: all that is random is keyed by (seed, epoch, cell).

    Raises
    ------
    ModelError
        The checkpoint is of other data, labels, recipe or seed, or of an older version.
    DamagedFileError
        The file is truncated or no checkpoint.
    """
    path = folder / FILE
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise DamagedFileError(
            f"{path} is no usable checkpoint ({error}). Remove {folder} and start anew without --resume."
        ) from error
    if progress.fingerprint != fingerprint:
        raise ModelError(
            f"{path} belongs to a run with other cells, labels, recipe or seed, or of an older annatac. Repeat "
            f"the command that started it, or remove {folder} and start anew without --resume."
        )
    network.load_state_dict(_under("network.", tensors))
    state = optimizer.state_dict()
    restored: dict[int, dict[str, Any]] = {}
    for name, value in _under("optimizer.", tensors).items():
        index, key = name.split(".", 1)
        restored.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": restored, "param_groups": state["param_groups"]})
    return progress, _under("best.", tensors)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
