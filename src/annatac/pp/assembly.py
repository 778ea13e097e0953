"""Whether cells are on the assembly that they state, and on that of a model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from annatac import keys
from annatac.errors import AnnatacWarning, AssemblyError
from annatac.genome.assemblies import is_known
from annatac.genome.check import (
    AssemblyReport,
    GeneTables,
    ProfileCorrelation,
    check_assembly,
    profile_correlation,
)
from annatac.genome.intervals import intervals_of
from annatac.pp.counts import column_sums
from annatac.pp.universe import Universe

if TYPE_CHECKING:
    from anndata import AnnData

_OWN_GENOME = (
    " If the two are one genome, give its chromosome lengths under the model's name: a genome of your own goes "
    "by the name of that file."
)


def check_genome(
    adata: AnnData, *, genome: str | None = None, genes_by_assembly: GeneTables | None = None
) -> AssemblyReport | None:
    """Return what the cells' features (peaks, bins or islands) say about their assembly.

    Parameters
    ----------
    adata
        Cells x features; X dense, sparse or backed.
    genome
        The stated assembly; by default ``uns['genome']`` where its chromosome lengths are known.
    genes_by_assembly
        Paths or tables of genes, by assembly; with them openness at start sites is checked too.

    Returns
    -------
    The report, or None where the features have no coordinates.

    Raises
    ------
    AssemblyError
        The stated assembly is clearly wrong; the message names the likely one.
    """
    table = intervals_of(adata.var)
    if table is None:
        return None
    if genome is None:
        stated = adata.uns.get(keys.GENOME)
        known = isinstance(stated, str) and (is_known(stated) or Path(stated).is_file())
        genome = stated if known else None
    # only beside genes does it matter how open the features are: without, the counts are not read
    openness = column_sums(adata.X) if genes_by_assembly else None
    return check_assembly(table, openness=openness, genome=genome, genes_by_assembly=genes_by_assembly)


def check_profile(islands: AnnData | Universe, universe: Universe) -> ProfileCorrelation:
    """Return how well a query's mean openness follows a model's, over the islands of both.

    Parameters
    ----------
    islands
        The query, cells x islands, or its islands with their mean openness.
    universe
        Of the model.

    Raises
    ------
    AssemblyError
        The query says that it is on another assembly, or its profile is clearly that of another one.
    """
    query = islands if isinstance(islands, Universe) else Universe.from_islands(islands)
    if query.genome and universe.genome and query.genome != universe.genome:
        own = "" if is_known(query.genome) and is_known(universe.genome) else _OWN_GENOME
        raise AssemblyError(
            f"The query is on {query.genome}, the model on {universe.genome}. Give a UCSC chain file between the "
            "two (--chain hg19ToHg38.over.chain.gz): peaks and fragments are then lifted; or take a model for "
            f"{query.genome}.{own}"
        )
    at = universe.index_of(query.names)
    known = at >= 0
    if query.chrom is not None:  # a chromosome without a count was not measured: fragments of some only
        # by pandas: np.isin compares every string with every other one
        known &= pd.Index(query.chrom).isin(pd.unique(query.chrom[query.mean_openness > 0]))
    match = profile_correlation(query.mean_openness[known], universe.mean_openness[at[known]])
    if not universe.has_coordinates:
        return match
    found = (
        f"over {match.n_islands:,} shared islands the query's mean openness hardly follows the model's "
        f"(correlation {match.r:.2f}; 0.13 to 0.75 is usual on one assembly)"
    )
    if match.foreign:
        raise AssemblyError(
            f"The query does not look like {universe.genome or 'the assembly of the model'}: {found}. Check "
            "the assembly that the reads were mapped to."
        )
    if match.doubtful:
        warnings.warn(
            f"Check the assembly of the query: {found}. Another tissue than the model's can be the reason "
            "too.",
            AnnatacWarning,
            stacklevel=2,
        )
    return match
