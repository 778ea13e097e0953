"""One sample -> shards in a private place of a corpus: what each worker of ``annatac prepare`` does."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from annatac import keys
from annatac.corpus.manifest import ISLANDS, Source
from annatac.corpus.shards import Shard
from annatac.corpus.writer import new_place, write_staged
from annatac.errors import AnnatacWarning, AssemblyError, InputError, OverlapError
from annatac.genome.assemblies import genome_label, is_known
from annatac.jobs.reading import check_stated_genome, read_to_lift
from annatac.pp.counts import in_chunks, map_columns
from annatac.pp.layout import island_layout
from annatac.pp.lift import Lift
from annatac.pp.reading import read
from annatac.pp.tokens import no_overlap, openness_classes
from annatac.pp.universe import Universe
from annatac.pp.validate import validate_counts

if TYPE_CHECKING:
    from anndata import AnnData

_ROWS = 2_000  # cells whose counts are held at once


@dataclass(frozen=True, kw_only=True)
class Intake:
    """A sample to be read, and how.

    Attributes
    ----------
    name, path
        Of the sample.
    source
        What is read of it, as it was when the command began.
    corpus, universe_id
        Folder of the corpus, and its universe.
    genome
        As the user stated it, or None.
    genes
        Genes of the assembly, to check it by.
    islands
        Options of :func:`annatac.pp.peak_islands`.
    reading
        Options of :func:`annatac.read`.
    lifts, chain
        Whether a sample on another assembly is lifted to the corpus's, and by which chain file.
    """

    name: str
    path: Path
    source: Source
    corpus: Path
    universe_id: str
    genome: str | None = None
    genes: str | Path | None = None
    islands: dict[str, Any] = field(default_factory=dict)
    reading: dict[str, Any] = field(default_factory=dict)
    lifts: bool = False
    chain: str | Path | None = None


@dataclass(frozen=True, kw_only=True)
class Staged:
    """The shards of a sample in their private place, the facts that go into the manifest, and what was warned of."""

    place: Path
    shards: tuple[Shard, ...]
    facts: dict[str, Any]
    warnings: tuple[str, ...]


def take_in(intake: Intake) -> Staged:
    """Read a sample, put it into the universe's islands and write its shards.

    A matrix that lies on disk as rows of cells is read in blocks, twice: to be checked, and to be written.

    Raises
    ------
    InputError, AssemblyError, OverlapError
        The sample cannot be read, is on another assembly, has no cell or no island of the universe, or changed
        while it was read.
    OutputError
        The disk is full; nothing of the sample is left.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", AnnatacWarning)
        universe = _universe(intake.corpus, intake.universe_id)
        adata, lift = _read(intake, universe)
        options = {"bin_size": universe.bin_size or 5000, "lift": lift, **intake.islands}
        islands = island_layout(adata, validate_counts(adata), **options)
        target = universe.index_of(islands.var.index)
        if not (target >= 0).any():
            raise OverlapError(no_overlap(islands.var.index, islands.parameters, universe))
        n_counts = n_known = 0

        def tokens() -> Iterator[sp.csr_matrix]:
            nonlocal n_counts, n_known
            for x in in_chunks(adata.X, _ROWS):
                counts = islands.of(x)
                known = map_columns(counts, target, len(universe))
                n_counts += int(counts.data.sum(dtype=np.int64))
                n_known += int(known.data.sum(dtype=np.int64))
                yield openness_classes(known)

        place = new_place(intake.corpus)
        try:
            shards = write_staged(place, tokens(), name=intake.name, n_islands=len(universe))
            source = Source.of(intake.source.path, checksum=True)
            if (source.bytes, source.modified) != (intake.source.bytes, intake.source.modified):
                raise InputError(f"{intake.path} was changed while it was read. Wait until it is whole.")
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
    facts = {
        "source": source,
        "known": n_known / n_counts if n_counts else 0.0,
        "n_counts": n_counts,
        "counted": str(islands.parameters.get("source", "")) or None,
    }
    said = tuple(dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, AnnatacWarning)))
    return Staged(place=place, shards=tuple(shards), facts=facts, warnings=said)


def _read(intake: Intake, universe: Universe) -> tuple[AnnData, Lift | None]:
    if intake.lifts:
        assert universe.genome is not None
        return read_to_lift(
            intake.path,
            universe.genome,
            chain=intake.chain,
            genome=intake.genome,
            genes=intake.genes,
            bin_size=universe.bin_size or 5000,
            backed=True,
            **intake.reading,
        )
    options = {"genome": intake.genome, "bin_size": universe.bin_size or 5000, **intake.reading}
    adata = read(intake.path, backed=True, **options)
    stated = adata.uns.get(keys.GENOME)
    if universe.genome and stated and genome_label(str(stated)) != universe.genome:
        raise AssemblyError(
            f"{intake.path} is on {genome_label(str(stated))}, the corpus on {universe.genome}. Lift it with "
            f"--lift-to {universe.genome}, or write another corpus for it."
        )
    if universe.genome and not stated and is_known(universe.genome):
        adata.uns[keys.GENOME] = universe.genome
    check_stated_genome(adata, intake.genes)
    return adata, None


@lru_cache(maxsize=1)
def _universe(corpus: Path, universe_id: str) -> Universe:
    """Return the universe of a corpus, which a worker reads once for all its samples; ``universe_id`` is its key."""
    return Universe.load(corpus / ISLANDS)
