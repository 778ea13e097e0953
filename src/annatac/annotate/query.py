"""A query as tokens of a model, some cells at a time: what memory holds does not grow with the query."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch

from annatac import keys
from annatac.annotate.lifting import Lifting
from annatac.errors import AnnatacWarning, OverlapError
from annatac.pp.assembly import check_profile
from annatac.pp.counts import as_csr, in_chunks, map_columns
from annatac.pp.layout import IslandLayout, island_layout
from annatac.pp.quality import MIN_OPEN_TO_CALL
from annatac.pp.tokens import MUCH_SILENT, Overlap, measured, no_overlap, openness_classes
from annatac.pp.universe import Universe, summed_openness
from annatac.pp.validate import validate_counts
from annatac.train.distributed import share, sum_over

if TYPE_CHECKING:
    from anndata import AnnData

_ROWS = 1_000  # cells whose counts are held at once


def to_islands_of(universe: Universe, adata: AnnData, lifting: Lifting) -> dict[str, Any]:
    """Return how a query's features become islands of a model: options of :func:`annatac.pp.peak_islands`.

    The query is lifted where it is on another assembly, and of its peaks those count that overlap one of the
    reference's.
    """
    in_islands = keys.ISLANDS in adata.uns or not universe.has_coordinates
    return {
        "within": None if in_islands else universe.member_peaks(),
        "lift": lifting.to(universe, adata.uns.get(keys.GENOME)),
    }


class QueryTokens:
    """The cells of a query as tokens of a model, checked as a whole and made when they are asked for.

    Peaks of the query that overlap none of the reference's are left out: openness elsewhere in an island is
    not what the model learnt about it. Between studies with few peaks in common this decides
    (``perf/cross_study.py``). Counts that are in bins already are used as they are.

    The counts are read twice here, to be checked and to be held against the model (by several processes: the
    second time by each a share of the cells), and once more when the tokens are asked for.

    Parameters
    ----------
    adata
        Cells x peaks or islands, counts; X dense, sparse, or on disk, where it stays.
    universe
        Of the model.
    island_settings
        How the model's islands are made: options of :func:`annatac.pp.peak_islands`.
    lifting
        How a query on another assembly gets to the model's.

    Attributes
    ----------
    n_cells
        Cells of the query.
    overlap
        How far query and model cover each other.

    Raises
    ------
    InputError
        X holds no counts.
    AssemblyError
        The query is on another assembly than the model.
    OverlapError
        No island in common, or the median cell keeps fewer than 5 known open islands.

    Warns
    -----
    AnnatacWarning
        The query has no count on chromosomes that hold a twentieth or more of the openness that the model learnt from.
    """

    def __init__(
        self,
        adata: AnnData,
        universe: Universe,
        island_settings: dict[str, Any],
        lifting: Lifting = Lifting(),  # noqa: B008 (frozen)
    ) -> None:
        self.n_cells = int(adata.n_obs)
        self._x = sp.csr_matrix(adata.X) if sp.issparse(adata.X) else adata.X  # not sliced by columns
        self._n_known_islands = len(universe)
        self._layout: IslandLayout | None = None
        made, names = adata.uns.get(keys.ISLANDS, {}), adata.var_names
        n_counts = validate_counts(adata)
        if universe.has_coordinates:
            options = to_islands_of(universe, adata, lifting)
            self._layout = island_layout(adata, n_counts, **options, **island_settings)
            made, names = self._layout.parameters, self._layout.var.index
        self._target = universe.index_of(names)
        openness, n_open, (n_all, n_known) = self._sums(len(names))
        if self._layout is not None:
            genome = self._layout.genome or adata.uns.get(keys.GENOME)
            of_query = Universe.from_table(self._layout.var, openness / self.n_cells, made, genome)
            check_profile(of_query, universe)
        if not (self._target >= 0).any():
            raise OverlapError(no_overlap(names, made, universe))
        share_kept = made.get("share_within", 1.0) * made.get("share_lifted", 1.0)
        self.overlap = Overlap(
            share_of_query_counts_known=(n_known / n_all if n_all else 0.0) * share_kept,
            median_open_known=float(np.median(n_open)),
            **measured(universe, self._target, openness),
            n_query_islands=len(names),
            n_model_islands=len(universe),
        )
        _refuse_too_few(self.overlap)
        _warn_of_silence(self.overlap)

    def tokens(self, first: int, last: int) -> sp.csr_matrix:
        """Return the tokens of the cells ``first`` to ``last - 1``: uint8 CSR, cells x islands of the model."""
        parts = [openness_classes(self._known(x)) for x in self._islands(first, last)]
        return parts[0] if len(parts) == 1 else sp.csr_matrix(sp.vstack(parts, format="csr"))

    def _islands(self, first: int, last: int) -> Iterator[sp.csr_matrix]:
        for x in in_chunks(self._x, _ROWS, first=first, last=last):
            yield as_csr(x if self._layout is None else self._layout.of(x))

    def _known(self, islands: sp.csr_matrix) -> sp.csr_matrix:
        return map_columns(islands, self._target, self._n_known_islands)

    def _sums(self, n_islands: int) -> tuple[Any, Any, list[float]]:
        """Return each island's summed openness, each cell's open known islands, and all and known counts."""
        openness = torch.zeros(n_islands, dtype=torch.float64)
        n_open = torch.zeros(self.n_cells, dtype=torch.int32)
        counts = torch.zeros(2, dtype=torch.float64)
        mine = share(self.n_cells)
        at = mine.start
        for x in self._islands(mine.start, mine.stop):
            known = self._known(x)
            openness += torch.from_numpy(summed_openness(x))
            counts += torch.tensor([x.data.sum(dtype=np.float64), known.data.sum(dtype=np.float64)])
            n_open[at : at + x.shape[0]] = torch.from_numpy(np.diff(known.indptr).astype(np.int32))
            at += x.shape[0]
        # sums of whole numbers, so that they are the same whatever the number of processes
        return sum_over(openness).numpy(), sum_over(n_open).numpy(), sum_over(counts).tolist()


def _warn_of_silence(overlap: Overlap) -> None:
    if overlap.share_silent >= MUCH_SILENT:
        chroms = overlap.silent_chroms.split(", ")
        warnings.warn(
            f"The query has no count on {', '.join(chroms[:5])}{f' and {len(chroms) - 5} more' * (len(chroms) > 5)}, "
            f"chromosomes with {overlap.share_silent:.0%} of the openness that the model learnt from: labels rest on "
            "the others alone. Give the whole fragment file, or peaks of all chromosomes.",
            AnnatacWarning,
            stacklevel=4,
        )


def _refuse_too_few(overlap: Overlap) -> None:
    if overlap.median_open_known >= MIN_OPEN_TO_CALL:
        return
    advice = (
        "Count the query's fragments in the model's islands (give the fragment file), or train on a "
        "reference with more peaks."
    )
    if overlap.share_of_model_islands_measured > 0.5:
        advice = "Its cells are too shallow for this model: train on a reference with more peaks."
    raise OverlapError(
        f"The median cell has {overlap.median_open_known:g} open islands that the model knows; at least "
        f"{MIN_OPEN_TO_CALL} are needed for a call. The query measured "
        f"{overlap.share_of_model_islands_measured:.1%} of the model's {overlap.n_model_islands:,} islands, "
        f"and the model knows {overlap.share_of_query_counts_known:.1%} of the query's counts. {advice}"
    )
