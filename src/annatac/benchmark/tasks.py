"""A suite as tasks: each one method on one split under one protocol with one seed, independent of the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from annatac.benchmark.suite import ProtocolConfig, SetConfig, Suite
from annatac.config import from_dict


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run of one method.

    Attributes
    ----------
    level
        The share of a protocol of shares; 1 otherwise.
    cell_type
        The type that is made rare or left out; '' otherwise.
    """

    set: SetConfig
    method: str
    kind: str
    level: float = 1.0
    cell_type: str = ""
    n_cells: int = 20
    fold: int = 0
    repeat: int = 0
    seed: int = 0

    @property
    def id(self) -> str:
        """Name of the result file: readable, and different for every task (a hash of all that defines it).

        Types are data and may hold any character: they are in the hash alone.
        """
        text = json.dumps(self.to_dict(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f"{self.set.name}-{self.kind}-{self.method}-{digest}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Task:
        """Return the task that :meth:`to_dict` gave, also after a way through JSON."""
        return from_dict(cls, content, where="task")


def tasks_of(suite: Suite, types_of: Callable[[SetConfig], Sequence[str]]) -> list[Task]:
    """Return every task of a suite, cheap protocols and first seeds first, so that early results say something.

    Parameters
    ----------
    types_of
        Gives the reference's types of a set, for protocols that take them one by one.
    """
    found: list[tuple[int, int, Task]] = []
    for place, protocol in enumerate(suite.protocols):
        methods = protocol.methods or suite.methods
        for one in suite.sets:
            if protocol.sets and one.name not in protocol.sets:
                continue
            for level, cell_type in _levels(protocol, one, types_of):
                for name in methods:
                    seeds = suite.seeds[:1] if name in suite.single_seed else suite.seeds
                    for turn, seed in enumerate(seeds):
                        for fold in one.folds:
                            for repeat in range(protocol.repeats):
                                task = Task(
                                    set=one,
                                    method=name,
                                    kind=protocol.kind,
                                    level=level,
                                    cell_type=cell_type,
                                    n_cells=protocol.n_cells,
                                    fold=fold,
                                    repeat=repeat,
                                    seed=seed,
                                )
                                found.append((place, turn, task))
    found.sort(key=lambda item: item[:2])
    return [task for _, _, task in found]


def _levels(
    protocol: ProtocolConfig, one: SetConfig, types_of: Callable[[SetConfig], Sequence[str]]
) -> list[tuple[float, str]]:
    if protocol.levels:
        return [(level, "") for level in protocol.levels]
    if protocol.kind in ("rare", "held_out"):
        return [(1.0, name) for name in protocol.types or types_of(one)]
    return [(1.0, "")]
