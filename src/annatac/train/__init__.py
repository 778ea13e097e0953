"""Training: masked pre-training and fine-tuning on one loop."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_FUNCTIONS = {"pretrain": "annatac.train.pretraining"}

__all__ = ["pretrain"]


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'annatac.train' has no attribute '{name}'")
