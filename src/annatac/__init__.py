"""annatac: name the cell type of every cell of a scATAC-seq experiment.

Public names are loaded when first used, so that ``import annatac`` stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_MODULES = ("benchmark", "datasets", "genome", "io", "pl", "pp", "report", "simulate", "tl")
_FUNCTIONS = {
    "read": "annatac.pp",
    "pretrain": "annatac.train",
    "finetune": "annatac.annotate",
    "load": "annatac.annotate",
    "evaluate": "annatac.benchmark",
}

__all__ = ["__version__", *_FUNCTIONS, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"annatac.{name}")
    if name in _FUNCTIONS:
        return getattr(import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'annatac' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
