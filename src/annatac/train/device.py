"""Where the network runs, and in which precision."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import Literal

import torch

from annatac.errors import ConfigError

COMPILE_FROM = 1_000_000  # cells


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


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return what the encoder computes in: float32, or bfloat16 where the machine multiplies matrices in it.

    ``auto`` is bfloat16 on such a GPU and float32 elsewhere: on a CPU it makes steps faster and whole runs not
    always (docs/speed.md).

    Raises
    ------
    ConfigError
        No such precision; or 'bf16' on a machine that would only emulate it.
    """
    if name not in ("auto", "float32", "bf16"):
        raise ConfigError(f"No precision '{name}': auto, float32 or bf16 is expected.")
    if name == "float32" or (name == "auto" and device.type != "cuda"):
        return torch.float32
    if has_fast_bf16(device):
        return torch.bfloat16
    if name == "auto":
        return torch.float32
    raise ConfigError(
        f"The {_NAMES.get(device.type, device.type)} of this machine does not multiply in bfloat16, and would be "
        "slower with it than with float32. Pass --precision float32, or auto."
    )


def compiling_pays(device: torch.device, n_cells: int) -> bool:
    """Tell whether to compile the encoder before so many cells are seen (each time counts, in training).

    On a GPU a compiled one takes two thirds of the time, and up to half a minute more before the first batch
    (docs/speed.md). It needs Triton, which comes with PyTorch for CUDA, and a C compiler.
    """
    can = importlib.util.find_spec("triton") is not None and any(map(shutil.which, ("cc", "gcc", "clang")))
    return device.type == "cuda" and can and n_cells >= COMPILE_FROM


_NAMES = {"cpu": "processor", "cuda": "GPU"}
#: What a precision is called in recipes.
PRECISIONS: dict[torch.dtype, Literal["float32", "bf16"]] = {torch.float32: "float32", torch.bfloat16: "bf16"}


def has_fast_bf16(device: torch.device) -> bool:
    """Tell whether a device has instructions for products in bfloat16: AVX512-BF16 or AMX, or a GPU since Ampere."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    try:
        known = torch.cpu.get_capabilities()
        return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
    except AttributeError:  # an older PyTorch
        asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, each, lambda: False)() for each in asked)
