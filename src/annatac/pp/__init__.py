"""From counts to tokens: reading, peak islands, the universe, quality, splits. Loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "N_CLASSES": "tokens",
    "Overlap": "tokens",
    "Universe": "universe",
    "check_genome": "assembly",
    "check_profile": "assembly",
    "gene_scores": "gene_activity",
    "group_split": "splits",
    "openness_classes": "tokens",
    "peak_islands": "islands",
    "qc": "quality",
    "read": "reading",
    "stratified_split": "splits",
    "tokenize": "tokens",
    "validate_counts": "validate",
    "validate_labels": "validate",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'annatac.pp' has no attribute '{name}'")
    value = getattr(import_module(f"annatac.pp.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
