"""What users have on disk -> AnnData, and back. Public names are loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_FUNCTIONS = {
    "read_one": "annatac.io.read",
    "read_labels": "annatac.io.labels",
    "write_annotated": "annatac.io.write",
    "cell_barcodes": "annatac.io.barcodes",
    "read_motifs": "annatac.io.motif_files",
    "choose_motifs": "annatac.io.motif_files",
    "atomic_path": "annatac.io.atomic",
    "atomic_dir": "annatac.io.atomic",
}

__all__ = list(_FUNCTIONS)


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'annatac.io' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
