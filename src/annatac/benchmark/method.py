"""What a method of the benchmark is, and which there are: every file of ``benchmark/methods`` adds its own."""

from __future__ import annotations

import ast
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

from annatac.errors import ConfigError, nearest

if TYPE_CHECKING:
    from anndata import AnnData

Probabilities = npt.NDArray[np.float32]


class Method(Protocol):
    """Learns from labelled cells, names others. Both hold counts over the same features, in the same order."""

    def fit(self, reference: AnnData, label_key: str, batch_key: str | None, seed: int) -> None:
        """Learn from ``reference.obs[label_key]``; no label is missing."""

    def predict(self, query: AnnData) -> tuple[Probabilities, list[str]]:
        """Return float32 probabilities (cells x types, rows sum to 1) and the names of the types."""


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """One method: how it is made, and what the tables say of it.

    Attributes
    ----------
    source
        'annatac' (this package), 'library' (a general one, scikit-learn), 'reimplemented' (a published recipe,
        written anew here) or 'live' (the published package itself, in an environment of its own).
    inductive
        Whether a cell's call depends on that cell alone; False where the other query cells matter.
    own_features
        It takes a query of another study with the query's own peaks, as users have it. The others get both studies
        over the reference's peaks that the query measured (:mod:`annatac.benchmark.features`).
    environment
        Of :mod:`annatac.benchmark.environments`, where the method needs one: without it, it is recorded as not set
        up.
    """

    about: str
    make: Callable[[], Method]
    source: Literal["annatac", "library", "reimplemented", "live"]
    inductive: bool = True
    own_features: bool = False
    environment: str = ""


@cache
def methods() -> dict[str, MethodSpec]:
    """Return every method by name, in alphabetical order of their files."""
    package = import_module("annatac.benchmark.methods")
    found: dict[str, MethodSpec] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
        own: dict[str, MethodSpec] = import_module(f"{package.__name__}.{module}").METHODS
        if doubled := sorted(set(own) & set(found)):
            raise ValueError(f"benchmark/methods/{module}.py names a method again: {', '.join(doubled)}")
        found |= own
    return found


@cache
def where_defined() -> dict[str, str]:
    """Return the file that adds each method, read off the ``METHODS`` tables without importing the files.

    A process that runs one method need not load what the others stand on: PyTorch alone takes a second.
    """
    found: dict[str, str] = {}
    for info in pkgutil.iter_modules(import_module("annatac.benchmark.methods").__path__):
        text = (Path(__file__).parent / "methods" / f"{info.name}.py").read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "METHODS":
                assert isinstance(node.value, ast.Dict), (
                    f"METHODS of {info.name}.py must be written out as a dict"
                )
                found |= {
                    str(key.value): info.name for key in node.value.keys if isinstance(key, ast.Constant)
                }
    return found


def method(name: str) -> MethodSpec:
    """Return the method of that name, importing its file alone.

    Raises
    ------
    ConfigError
        There is none; the nearest one is named.
    """
    known = where_defined()
    if name not in known:
        raise ConfigError(f"Unknown method '{name}'.{nearest(name, known)} Known are: {', '.join(known)}.")
    table: dict[str, MethodSpec] = import_module(f"annatac.benchmark.methods.{known[name]}").METHODS
    return table[name]


def labels_of(reference: AnnData, label_key: str) -> npt.NDArray[np.object_]:
    """Return the types of the reference cells as an object array of str."""
    return reference.obs[label_key].astype(str).to_numpy(dtype=object)
