"""One self-contained HTML file about annotated cells, for a biologist to look at. Loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {"report": "writing"}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'annatac.report' has no attribute '{name}'")
    return getattr(import_module(f"annatac.report.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
