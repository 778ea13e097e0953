"""Where the network runs."""

from __future__ import annotations

import os

import torch

from annatac.errors import ConfigError


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of that name; ``auto`` is a CUDA GPU where there is one, else the CPU.

    Under ``torchrun``, ``auto`` and ``cuda`` give each process of a machine a GPU of its own.

    Raises
    ------
    ConfigError
        No such device, or not on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"No device '{name}': auto, cpu, cuda, cuda:0 or mps is expected.") from error
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if not here.get(device.type, False):
        raise ConfigError(f"Device '{name}' is not available on this machine. Use --device cpu.")
    if device.type == "cuda":
        device = _own_gpu(device)
        torch.cuda.set_device(device)
    return device


def _own_gpu(device: torch.device) -> torch.device:
    n_gpus = torch.cuda.device_count()
    index = device.index
    if index is None:
        index = int(os.environ.get("LOCAL_RANK", "0"))
    if index >= n_gpus:
        raise ConfigError(
            f"Process {index} of this machine has no GPU: there are {n_gpus}. Start at most as many processes "
            "as there are GPUs (torchrun --nproc-per-node), or pass --device cpu."
        )
    return torch.device("cuda", index)
