"""What each command does, file to file: inputs are read and checked, outputs appear whole or not at all."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "motifs": "sequence_motifs",
    "explain": "explaining",
    "trajectory": "ordering",
    "conditions": "differences",
    "elements": "differences",
    "markers": "differences",
    "tracks": "fragments",
    "footprints": "fragments",
    "fragment_qc": "fragments",
    "annotate": "annotating",
    "clusters": "clustering",
    "benchmark": "benchmarking",
    "embed": "looking",
    "evaluate": "looking",
    "finetune": "training",
    "plot": "looking",
    "corpus_facts": "corpus_content",
    "prepare": "preparing",
    "prepare_corpus": "corpora",
    "pretrain": "training",
    "simulate": "simulating",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'annatac.jobs' has no attribute '{name}'")
    return getattr(import_module(f"annatac.jobs.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
