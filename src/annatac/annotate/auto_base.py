"""Which ready base a reference can start from: ``--base auto``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from annatac import keys
from annatac.annotate.lifting import Lifting
from annatac.config import Recipe
from annatac.errors import ConfigError
from annatac.genome.assemblies import genome_label, is_known, species
from annatac.genome.chroms import to_ucsc
from annatac.genome.intervals import intervals_of, island_names
from annatac.model import artifact as artifacts
from annatac.model import ready
from annatac.model.artifact import Artifact
from annatac.pp.counts import in_chunks
from annatac.pp.quality import MIN_OPEN_TO_CALL
from annatac.train.from_base import with_encoder_of

if TYPE_CHECKING:
    from anndata import AnnData

AUTO = "auto"


def base_for(cells: AnnData, recipe: Recipe, lifting: Lifting) -> tuple[str, Artifact] | tuple[None, None]:
    """Return the ready base that suits a reference and its name, or None for both.

    A base suits where its assembly is the reference's, or one to which it or ``lifting`` has a way; where the recipe
    leaves it its encoder; and where the median cell has 5 open features or more in islands that it knows.

    Parameters
    ----------
    cells
        The reference, cells x peaks or islands, counts.
    lifting
        A chain file, or those at hand.
    """
    genome, table = cells.uns.get(keys.GENOME), intervals_of(cells.var)
    if genome is None or table is None or not is_known(str(genome)):
        return None, None
    for name in ready.names():
        its = ready.facts(name)
        if its["kind"] != "base":
            continue
        base = artifacts.load(ready.find(name))
        try:
            with_encoder_of(base, recipe)
        except ConfigError:
            continue
        universe, there = base.universe, table
        if species(universe.genome or "") != species(str(genome)):
            continue
        if universe.genome != genome_label(str(genome)):
            lift = replace(lifting, places=base.places).to(universe, str(genome))
            if lift is None:
                continue
            there = lift.liftover.intervals(table)
        start, width = (there["start"] + there["end"]).to_numpy(np.int64) // 2, universe.bin_size or 1
        start = start // width * width
        known = universe.index_of(island_names(to_ucsc(there["chrom"]), start, start + width)) >= 0
        n_known = [np.diff(x[:, known].indptr) for x in in_chunks(cells.X)]
        if np.median(np.concatenate(n_known)) >= MIN_OPEN_TO_CALL:
            return name, base
    return None, None
