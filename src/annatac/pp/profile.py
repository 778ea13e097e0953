"""A query's mean openness against that of a model: another assembly does not follow it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from annatac.errors import AnnatacWarning, AssemblyError
from annatac.genome.check import ProfileCorrelation, profile_correlation
from annatac.pp.universe import Universe

if TYPE_CHECKING:
    from anndata import AnnData


def check_profile(islands: AnnData, universe: Universe) -> ProfileCorrelation:
    """Return how well a query (cells x islands) follows a model's mean openness, over the islands of both.

    Raises
    ------
    AssemblyError
        The query says that it is on another assembly, or its profile is clearly that of another one.
    """
    query = Universe.from_islands(islands)
    if query.genome and universe.genome and query.genome != universe.genome:
        raise AssemblyError(
            f"The query is on {query.genome}, the model on {universe.genome}. Take a model for "
            f"{query.genome}, or map the query to {universe.genome} (lift the peaks or fragments, not the "
            "islands)."
        )
    at = universe.index_of(query.names)
    known = at >= 0
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
