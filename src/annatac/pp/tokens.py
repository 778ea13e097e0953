"""Openness classes, and the tokens of a query in the order of a model's universe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import OverlapError
from annatac.pp.counts import as_csr, in_chunks, map_columns
from annatac.pp.universe import MAX_OPENNESS, Universe

if TYPE_CHECKING:
    from anndata import AnnData

N_CLASSES = MAX_OPENNESS + 1  # 0 closed, 1..5 open
MUCH_SILENT = (
    0.05  # share of the openness on chromosomes without a count that is worth a warning; chrY holds less
)


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """How far a query and a model's universe cover each other.

    Attributes
    ----------
    share_of_query_counts_known
        Share of the query's counts that lie in islands of the universe, 0..1.
    share_of_model_islands_measured
        Share of the universe's islands that the query has a column for, on a chromosome with any count, 0..1.
    median_open_known
        Open islands of the universe in the median cell.
    n_shared, n_query_islands, n_model_islands
        Islands in both, of the query, of the universe.
    silent_chroms
        Chromosomes of the universe on which the query has no count at all, separated by commas.
    share_silent
        Share of the openness in the model's reference that lies on them, 0..1.
    """

    share_of_query_counts_known: float
    share_of_model_islands_measured: float
    median_open_known: float
    n_shared: int
    n_query_islands: int
    n_model_islands: int
    silent_chroms: str = ""
    share_silent: float = 0.0

    def to_dict(self) -> dict[str, float | int | str]:
        """Return the values under their names, ready for ``uns`` or JSON."""
        return asdict(self)


def measured(
    universe: Universe, target: npt.NDArray[np.int64], openness: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """Return n_shared, share_of_model_islands_measured, silent_chroms and share_silent of an :class:`Overlap`.

    A fragment file is counted in all islands of a model, so that a column alone does not say that a region was
    sequenced: a chromosome without any count was not.

    Parameters
    ----------
    target
        Island of the universe of each of the query's n islands, -1 for none.
    openness
        float64 (n,): their summed openness.
    """
    known = target >= 0
    shared = np.zeros(len(universe), dtype=bool)
    shared[target[known]] = True
    n_shared = int(shared.sum())
    silent: list[str] = []
    share_silent = 0.0
    if universe.chrom is not None:
        total = np.bincount(target[known], openness[known], minlength=len(universe))
        of_chrom = pd.Series(total).groupby(universe.chrom, sort=False).sum()
        silent = [str(chrom) for chrom in of_chrom.index[of_chrom.to_numpy() == 0]]
        is_silent = np.isin(universe.chrom.astype(str), silent)
        shared &= ~is_silent
        share_silent = float(
            universe.mean_openness[is_silent].sum() / max(universe.mean_openness.sum(), 1e-12)
        )
    return {
        "n_shared": n_shared,
        "share_of_model_islands_measured": int(shared.sum()) / len(universe),
        "silent_chroms": ", ".join(silent),
        "share_silent": share_silent,
    }


def openness_classes(x: Any) -> sp.csr_matrix:
    """Return the openness class of every island: counts clipped at 5, as uint8 CSR (cells x islands).

    ``x`` is dense, sparse or backed; a fraction counts as the next whole number.
    """
    matrix = as_csr(x)
    classes = np.minimum(np.ceil(matrix.data), MAX_OPENNESS).astype(np.uint8)
    result = sp.csr_matrix((classes, matrix.indices, matrix.indptr), shape=matrix.shape)
    result.sort_indices()
    return result


def tokenize(islands: AnnData, universe: Universe) -> tuple[sp.csr_matrix, Overlap]:
    """Return the tokens of a query: openness classes in the universe's order.

    Islands that the universe does not know are left out (and counted in the overlap); islands of the universe
    that the query lacks are closed.

    Parameters
    ----------
    islands
        Cells x islands, as :func:`annatac.pp.peak_islands` gives them; X dense, sparse or backed.
    universe
        Of the model.

    Returns
    -------
    Tokens, uint8 CSR of cells x ``len(universe)`` with values 1..5 where open; and the :class:`Overlap`.

    Raises
    ------
    OverlapError
        Not one island is shared.
    """
    target = universe.index_of(islands.var_names)
    if not (target >= 0).any():
        raise OverlapError(no_overlap(islands.var_names, islands.uns.get(keys.ISLANDS, {}), universe))
    n_counts = n_known = 0.0
    parts = []
    for x in in_chunks(islands.X):
        mapped = map_columns(x, target, len(universe))
        n_counts += float(x.data.sum(dtype=np.float64))
        n_known += float(mapped.data.sum(dtype=np.float64))
        parts.append(openness_classes(mapped))
    tokens = parts[0] if len(parts) == 1 else sp.csr_matrix(sp.vstack(parts, format="csr"))
    n_open = np.diff(tokens.indptr)
    openness = np.zeros(len(target))
    openness[target >= 0] = np.asarray(tokens.sum(axis=0, dtype=np.float64)).ravel()[target[target >= 0]]
    return tokens, Overlap(
        share_of_query_counts_known=n_known / n_counts if n_counts else 0.0,
        median_open_known=float(np.median(n_open)) if len(n_open) else 0.0,
        **measured(universe, target, openness),
        n_query_islands=islands.n_vars,
        n_model_islands=len(universe),
    )


def no_overlap(names: pd.Index, made: Mapping[str, Any], universe: Universe) -> str:
    """Say that not one of a query's islands is in the universe, and what to do.

    ``made`` is the query's ``uns['annatac_islands']``.
    """
    message = (
        f"None of the query's {len(names):,} islands is among the model's {len(universe):,}: they look "
        f"like '{names[0]}', the model's like '{universe.names[0]}'."
    )
    bin_size = made.get("bin_size")
    if universe.bin_size and bin_size and int(bin_size) != universe.bin_size:
        return (
            f"{message} The query has bins of {int(bin_size):,} bp, the model of {universe.bin_size:,} bp: "
            f"make the islands again with a bin size of {universe.bin_size}."
        )
    if universe.has_coordinates:
        return f"{message} Make the islands from peaks or fragments with coordinates, on {universe.genome}."
    return f"{message} The model knows features by name only: give the query the same names."
