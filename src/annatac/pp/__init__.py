"""From counts to tokens: reading, peak islands, the universe, quality, splits. Loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "N_CLASSES": "tokens",
    "Overlap": "tokens",
    "Universe": "universe",
    "group_split": "splits",
    "openness_classes": "tokens",
    "peak_islands": "islands",
    "qc": "qc",
    "read": "read",
    "stratified_split": "splits",
    "tokenize": "tokens",
    "validate_counts": "validate",
    "validate_labels": "validate",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'annatac.pp' has no attribute '{name}'")
    value = getattr(import_module(f"annatac.pp.{_HOMES[name]}"), name)
    globals()[name] = value  # a submodule of the same name (qc, read) must not shadow the function
    return value


def __dir__() -> list[str]:
    return __all__
