"""Where the network runs."""

from __future__ import annotations

import torch

from annatac.errors import ConfigError


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of that name; ``auto`` is a CUDA GPU where there is one, else the CPU.

    Raises
    ------
    ConfigError
        No such device, or not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"No device '{name}': auto, cpu, cuda, cuda:0 or mps is expected.") from error
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if not here.get(device.type, False):
        raise ConfigError(f"Device '{name}' is not available on this machine. Use --device cpu.")
    return device
