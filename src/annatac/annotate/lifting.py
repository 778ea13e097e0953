"""Cells on another assembly than the model's: how they get to the model's islands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import pandas as pd

from annatac import datasets
from annatac.errors import AssemblyError, InputError
from annatac.genome.assemblies import genome_label, is_known, species
from annatac.genome.liftover import Liftover
from annatac.model.artifact import Artifact
from annatac.pp.lift import Lift
from annatac.pp.places import find_places, liftover_by
from annatac.pp.universe import Universe


@dataclass(frozen=True)
class Lifting:
    """By what queries are lifted: a chain file, else the places that the model brings, else a chain at hand.

    Attributes
    ----------
    chain
        UCSC chain file between the query's and the model's assembly, in either direction; None looks for one
        among :mod:`annatac.datasets`.
    whole_islands
        See :class:`annatac.pp.lift.Lift`.
    places
        By assembly, where the model's peaks lie there (:mod:`annatac.pp.places`).
    """

    chain: Path | None = None
    whole_islands: bool = False
    places: Mapping[str, pd.DataFrame] = field(default_factory=dict, compare=False)

    def to(self, universe: Universe, genome: str | None) -> Lift | None:
        """Return the lift of a query on ``genome``; None where none is needed or no chain is at hand.

        Raises
        ------
        MissingFileError, DamagedFileError, InputError, AssemblyError
            The chain file cannot be read, or is between other assemblies; query and model are of different species.
        """
        source = None if genome is None else genome_label(genome)
        if self.chain is None and source is not None and source in self.places and source != universe.genome:
            return Lift(liftover_by(universe, self.places[source], source), self.whole_islands)
        return self.between(genome, universe.genome)

    def between(self, genome: str | None, target: str | None) -> Lift | None:
        """Return the lift of cells on ``genome`` to the assembly ``target``, as :meth:`to` does to that of a model.

        Raises
        ------
        AssemblyError
            The two are of different species.
        """
        if genome is None or target is None:
            return None
        source, target = genome_label(genome), genome_label(target)
        if source == target or not (is_known(source) and is_known(target)):
            return None
        if species(source) != species(target):
            raise AssemblyError(
                f"The cells are {species(source)} ({source}), the islands {species(target)} ({target}). Regulatory "
                f"elements of one species do not name the cells of another: take a model, or islands, of {source}."
            )
        chain = self.chain if self.chain is not None else datasets.chain_between(source, target)
        if chain is None:
            return None
        return Lift(_liftover(chain, source, target), self.whole_islands)


def placed(model: Artifact, chain: str | Path, genome: str) -> Artifact:
    """Return the same model or base, for cells on another assembly without a chain file from then on.

    What it keeps is where each of its peaks, or islands, lies there (:func:`annatac.pp.places.find_places`).

    Parameters
    ----------
    chain
        UCSC chain file between the two assemblies, in either direction.
    genome
        The other assembly.

    Raises
    ------
    InputError, AssemblyError
        The model's islands have no coordinates or name no assembly; the chain file is between others.
    """
    if model.universe.genome is None:
        raise InputError("The model does not say which assembly its islands are on: they cannot be lifted.")
    there = Liftover.read(chain, source=model.universe.genome, target=genome)
    return replace(model, places=model.places | {there.target: find_places(model.universe, there)})


@lru_cache(maxsize=4)
def _liftover(chain: Path, source: str, target: str) -> Liftover:
    """Return the way from ``source`` to ``target`` (see :meth:`Liftover.read`), read once."""
    return Liftover.read(chain, source=source, target=target)
