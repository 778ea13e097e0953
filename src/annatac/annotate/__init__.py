"""From a labelled reference to an annotator, and from an annotator to named cells."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Annotator": "annatac.annotate.annotator",
    "Predictions": "annatac.annotate.annotator",
    "finetune": "annatac.annotate.fit",
    "load": "annatac.annotate.annotator",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'annatac.annotate' has no attribute '{name}'")
