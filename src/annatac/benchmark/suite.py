"""Suites: which methods, data sets, protocols and seeds a benchmark runs, as strict dataclasses from YAML."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from annatac.benchmark.method import method
from annatac.config import check_seed, from_dict, read_yaml, yaml_names
from annatac.errors import ConfigError, nearest

SUITES = Path(__file__).parent / "suites"

ProtocolKind = Literal["split", "label_noise", "label_fraction", "depth", "rare", "held_out"]
#: What a protocol's levels are: shares, or the types that are made rare or left out.
LEVELS_ARE_SHARES: dict[str, bool] = {
    "split": False,
    "label_noise": True,
    "label_fraction": True,
    "depth": True,
    "rare": False,
    "held_out": False,
}
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class SetConfig:
    """One data set and how it is split into a reference and a query."""

    name: str
    reference: str  # name of a data set (annatac.datasets) or a path
    query: str = ""  # another study; otherwise the query is cut out of the reference
    label_key: str = "cell_type"
    query_label_key: str = ""  # label_key where empty
    batch_key: str = ""  # donors or libraries: whole ones are held out
    held_out: tuple[str, ...] = ()  # these batches are the query; otherwise fold i holds out batch i
    n_folds: int = 5  # without batches: stratified folds
    folds: tuple[int, ...] = (0,)  # which of the folds are run
    types: dict[str, str] = field(default_factory=dict)  # new names; a type not listed is left out, if any is
    score_unknown: bool = False  # count query cells of types absent from the reference as errors

    def __post_init__(self) -> None:
        _check_name(self.name, "name of a set")
        if self.held_out and not self.batch_key:
            raise ConfigError(f"Set '{self.name}' holds out batches but names no batch_key.")
        if self.query and self.batch_key and self.held_out:
            raise ConfigError(f"Set '{self.name}' has a query of its own: held_out does not apply.")
        if self.n_folds < 2:
            raise ConfigError(f"n_folds of set '{self.name}' is {self.n_folds}; 2 or more are expected.")
        if not self.folds or min(self.folds) < 0:
            raise ConfigError(f"folds of set '{self.name}' are {list(self.folds)}; expected 0, 1, ...")
        if not self.query and not self.batch_key and max(self.folds) >= self.n_folds:
            raise ConfigError(
                f"Set '{self.name}' asks for fold {max(self.folds)} of {self.n_folds}: they count from 0."
            )
        if (self.query or self.held_out) and tuple(self.folds) != (0,):
            raise ConfigError(f"Set '{self.name}' has one split only: leave folds away.")


@dataclass(frozen=True, kw_only=True)
class ProtocolConfig:
    """One protocol: what is done to the reference or the query before a method sees them.

    ``split``: nothing. ``label_noise``: a share of the reference's labels is wrong. ``label_fraction``: a share of
    the reference is there. ``depth``: a share of the query's fragments is there. ``rare``: one type is cut to
    ``n_cells`` reference cells. ``held_out``: one type is taken out of the reference.
    """

    kind: ProtocolKind
    levels: tuple[float, ...] = ()  # shares, over 0 and up to 1
    types: tuple[str, ...] = ()  # rare and held_out: these types; all of the reference where empty
    repeats: int = 1  # anew drawn labels, cells or fragments
    n_cells: int = 20  # rare: reference cells that are left of the type
    sets: tuple[str, ...] = ()  # all of the suite where empty
    methods: tuple[str, ...] = ()  # all of the suite where empty

    def __post_init__(self) -> None:
        if LEVELS_ARE_SHARES[self.kind] != bool(self.levels):
            raise ConfigError(
                f"Protocol '{self.kind}' "
                + (
                    "needs levels, such as [0.05, 0.1]."
                    if LEVELS_ARE_SHARES[self.kind]
                    else "takes no levels."
                )
            )
        if any(not 0 < level <= 1 for level in self.levels):
            raise ConfigError(
                f"Levels of protocol '{self.kind}' are {list(self.levels)}; expected shares over 0 and up to 1."
            )
        if self.types and self.kind not in ("rare", "held_out"):
            raise ConfigError(f"Protocol '{self.kind}' takes no types.")
        for name in ("repeats", "n_cells"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} of protocol '{self.kind}' must be at least 1.")


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A whole benchmark: ``Suite.load("quick")`` or a YAML file of the user's own.

    Attributes
    ----------
    methods
        Names of :func:`annatac.benchmark.method.methods`.
    single_seed
        Methods that run with the first seed alone, because they are slow; the tables mark them.
    limit_s, limit_mb
        Wall-clock seconds and memory (MiB) after which a task is stopped, and recorded as such.
    """

    name: str = ""
    description: str = ""
    methods: tuple[str, ...]
    sets: tuple[SetConfig, ...]
    protocols: tuple[ProtocolConfig, ...] = (ProtocolConfig(kind="split"),)
    seeds: tuple[int, ...] = (0,)
    single_seed: tuple[str, ...] = ()
    limit_s: float = 1800.0
    limit_mb: float = 8192.0

    def __post_init__(self) -> None:
        for part in ("methods", "sets", "protocols", "seeds"):
            if not getattr(self, part):
                raise ConfigError(f"The suite has no {part}: at least one is expected.")
        for part, items in (
            ("methods", self.methods),
            ("sets", [one.name for one in self.sets]),
            ("seeds", self.seeds),
        ):
            if doubled := sorted({str(item) for item in items if list(items).count(item) > 1}):
                raise ConfigError(f"The suite names {part} twice: {', '.join(doubled)}.")
        for name in (*self.methods, *self.single_seed):
            method(name)
        for protocol in self.protocols:
            _check_among(protocol.methods, self.methods, "method", protocol.kind)
            _check_among(protocol.sets, [one.name for one in self.sets], "set", protocol.kind)
        _check_among(self.single_seed, self.methods, "method", "single_seed")
        for seed in self.seeds:
            check_seed(seed)
        if self.limit_s <= 0 or self.limit_mb <= 0:
            raise ConfigError("limit_s and limit_mb must be over 0.")

    @classmethod
    def load(cls, name_or_path: str | Path | Suite) -> Suite:
        """Read a shipped suite by name (``quick``, ``full``, ``protocols``) or a YAML file by path.

        Raises
        ------
        ConfigError
            No such suite, not YAML, an unknown key (the nearest one is named) or a bad value.
        """
        if isinstance(name_or_path, Suite):
            return name_or_path
        path, content = read_yaml(name_or_path, SUITES, "suite")
        missing = [key for key in ("methods", "sets") if key not in content]
        if missing:
            raise ConfigError(f"{path} lacks {' and '.join(missing)}.")
        return from_dict(cls, {"name": path.stem, **content}, where=str(path))


def suite_names() -> list[str]:
    """Return the names of the suites that ship with the package."""
    return yaml_names(SUITES)


def _check_name(name: str, what: str) -> None:
    if not _SLUG.fullmatch(name):
        raise ConfigError(
            f"'{name}' cannot be the {what}: letters, digits, '_', '.' and '-' are expected (it is part of file "
            "names)."
        )


def _check_among(given: Any, known: Any, what: str, where: str) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(
                f"{where} names the {what} '{name}', which the suite lacks.{nearest(name, known)}"
            )


assert set(LEVELS_ARE_SHARES) == set(get_args(ProtocolKind))
