"""Cells drawn from bulk profiles."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import ConfigError, nearest
from annatac.genome.intervals import island_names
from annatac.simulate.fit import CellStatistics
from annatac.simulate.islands import group_peaks
from annatac.simulate.profiles import TYPE_KEY, Profiles

if TYPE_CHECKING:
    from anndata import AnnData

_BLOCK = 256  # cells of one random stream: of one type and batch
_CELLS_A_PART = 20_000
NOTE = "These cells are simulated by annatac.simulate.from_bulk from bulk profiles. They are not real cells."


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of the cells: CSR int32 counts (cells x peaks) and their obs."""

    counts: sp.csr_matrix
    obs: pd.DataFrame


class BulkCells:
    """Cells that are drawn from profiles when they are asked for, a part at a time.

    Parameters
    ----------
    profiles
        T types over n peaks.
    cells_per_type
        One number for all types, or a number a type (``{type: cells}``).
    statistics
        Depth and counts that the cells take after; what is usual by default. With its ``openness`` each
        peak is as open over all cells as there: the ratios between the types stay those of the bulk.
    shares
        float64 (T,), shares of the types in the cells that ``statistics`` are of; equal by default. They
        say which mean of the types ``openness`` is.
    background
        Share of a cell's fragments that come from the mean of all types (ambient DNA, neighbours).
    doublets
        Share of the cells that hold a second cell of another type as well; their type is the first one's.
    batches
        Cells are dealt evenly to so many batches.
    batch_effect
        Standard deviation of a batch's natural-log shift of each peak.
    seed
        Streams are keyed by (seed, type, batch, block of 256 cells): the first cells of a type are the same
        however many are drawn.

    Raises
    ------
    ConfigError
        A number out of range, or an unknown type.
    """

    def __init__(
        self,
        profiles: Profiles,
        cells_per_type: int | Mapping[str, int] = 200,
        *,
        statistics: CellStatistics | None = None,
        shares: npt.ArrayLike | None = None,
        background: float = 0.1,
        doublets: float = 0.0,
        batches: int = 1,
        batch_effect: float = 0.2,
        seed: int = 0,
    ) -> None:
        _check(background=background, doublets=doublets, batches=batches, batch_effect=batch_effect)
        self.profiles, self.background, self.doublets = profiles, background, doublets
        self.batches, self.batch_effect, self.seed = batches, batch_effect, seed
        self.n_cells = _numbers(profiles.names, cells_per_type)
        self.statistics = statistics or CellStatistics.usual()
        n_types = len(profiles.names)
        self.shares = np.full(n_types, 1 / n_types) if shares is None else np.asarray(shares, dtype=float)
        total = np.asarray(profiles.signal.sum(axis=1)).ravel()
        self._scaled = sp.csr_matrix(sp.diags(1 / total) @ profiles.signal, dtype=np.float32)
        self._ambient = np.asarray(self._scaled.mean(axis=0)).ravel()
        self._island_of, self._n_islands = group_peaks(profiles.peaks)
        self._factor: npt.NDArray[np.float64] | None = None
        if self.statistics.openness is not None:
            mean = (1 - background) * (self._scaled.T @ self.shares) + background * self._ambient
            rate = -np.log1p(-np.minimum(self.statistics.openness, 0.98))
            self._factor = np.divide(rate, mean, out=np.zeros_like(mean), where=mean > 0)
        self._plan = lru_cache(maxsize=8)(self._planned)
        self._shift = lru_cache(maxsize=8)(self._shifted)

    def rates(self, kind: int) -> npt.NDArray[np.float64]:
        """Return how often fragments of a type fall into each peak, float64 (n,), sum 1."""
        rate = self.background * self._ambient.astype(np.float64)
        low, high = self._scaled.indptr[kind : kind + 2]
        rate[self._scaled.indices[low:high]] += (1 - self.background) * self._scaled.data[low:high]
        if self._factor is not None:
            rate *= self._factor
        return rate / rate.sum()

    def parts(self) -> Iterator[Part]:
        """Yield all cells, type by type, some 20,000 at a time."""
        counts: list[sp.csr_matrix] = []
        obs: list[pd.DataFrame] = []
        n_held = first = 0
        for kind, n_cells in enumerate(self.n_cells):
            for batch in range(self.batches):
                n_here = (n_cells - batch + self.batches - 1) // self.batches
                for block, start in enumerate(range(0, n_here, _BLOCK)):
                    part = self._block(kind, batch, block, min(_BLOCK, n_here - start))
                    counts.append(part.counts)
                    obs.append(part.obs)
                    n_held += len(part.obs)
                    if n_held >= _CELLS_A_PART:
                        yield _joined(counts, obs, first)
                        counts, obs, first, n_held = [], [], first + n_held, 0
        if n_held:
            yield _joined(counts, obs, first)

    def var(self) -> pd.DataFrame:
        """Return the peaks as an AnnData's var."""
        peaks = self.profiles.peaks
        table = pd.DataFrame({keys.CHROM: peaks["chrom"], keys.START: peaks["start"], keys.END: peaks["end"]})
        return table.set_axis(
            pd.Index(island_names(peaks["chrom"], peaks["start"], peaks["end"]), dtype=object)
        )

    def uns(self) -> dict[str, Any]:
        """Return the assembly, and that (and how) the cells are simulated."""
        settings = {
            "note": NOTE,
            "seed": self.seed,
            "background": self.background,
            "doublets": self.doublets,
            "batches": self.batches,
            "batch_effect": self.batch_effect if self.batches > 1 else 0.0,
            "median_open_islands": float(np.median(self.statistics.open_islands)),
            "second_insertion": self.statistics.second_insertion,
            "openness_of_cells": self.statistics.openness is not None,
        }
        return {keys.GENOME: self.profiles.genome, "simulated": settings}

    def _shifted(self, batch: int) -> npt.NDArray[np.float64]:
        stream = np.random.default_rng([self.seed, 1, batch])
        return np.exp(stream.normal(0, self.batch_effect, self.profiles.signal.shape[1]))

    def _planned(self, kind: int, batch: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the cumulative rates of the peaks, and the fragments a cell at each quantile of depth."""
        rate = self.rates(kind)
        if self.batches > 1:
            rate = rate * self._shift(batch)
            rate /= rate.sum()
        return np.cumsum(rate), self._fragments(rate)

    def _fragments(self, rate: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the fragments that open as many islands as the quantiles of ``statistics`` say.

        d fragments open sum(1 - exp(-d p)) of the islands, p being an island's rate.
        """
        islands = np.bincount(self._island_of, rate, minlength=self._n_islands)
        islands = islands[islands > 0]
        wanted = np.minimum(self.statistics.open_islands, 0.9 * len(islands))
        grid = np.geomspace(1, 1e4 * len(islands), 60)
        opened = np.array([-np.expm1(-d * islands).sum() for d in grid])
        return np.exp(np.interp(wanted, opened, np.log(grid)))

    def _block(self, kind: int, batch: int, block: int, n_cells: int) -> Part:
        names = self.profiles.names
        key = zlib.crc32(names[kind].encode())
        stream = np.random.default_rng([self.seed, 2, key, batch, block])
        rank, chance = stream.random(_BLOCK)[:n_cells], stream.random(_BLOCK)[:n_cells]
        partner = int(stream.integers(len(names) - 1)) if len(names) > 1 else kind
        partner += partner >= kind
        is_double = (chance < self.doublets) & (partner < len(names))
        counts = self._draw(kind, batch, rank, [self.seed, 3, key, batch, block])
        if is_double.any():
            second = self._draw(partner, batch, rank, [self.seed, 4, key, batch, block])
            kept = sp.diags(is_double.astype(np.int32), dtype=np.int32)
            counts = sp.csr_matrix(counts + kept @ second)
        obs = pd.DataFrame(
            {
                TYPE_KEY: np.full(n_cells, names[kind], dtype=object),
                "batch": np.full(n_cells, f"batch{batch + 1}", dtype=object),
                "simulated_doublet": is_double,
            }
        )
        return Part(counts=counts, obs=obs)

    def _draw(self, kind: int, batch: int, rank: npt.NDArray[np.float64], key: list[int]) -> sp.csr_matrix:
        """Return counts of cells whose depth has these ranks (0 to 1) among all."""
        cumulative, fragments = self._plan(kind, batch)
        at = np.linspace(0, 1, len(fragments))
        mean = np.exp(np.interp(rank, at, np.log(fragments)))
        n_fragments = np.random.default_rng([*key, 0]).poisson(mean)
        where = np.random.default_rng([*key, 1]).random(n_fragments.sum()) * cumulative[-1]
        twice = np.random.default_rng([*key, 2]).random(n_fragments.sum()) < self.statistics.second_insertion
        peak = np.minimum(np.searchsorted(cumulative, where, side="right"), len(cumulative) - 1)
        cell = np.repeat(np.arange(len(rank)), n_fragments)
        counts = sp.coo_matrix((1 + twice.astype(np.int32), (cell, peak)), shape=(len(rank), len(cumulative)))
        return counts.tocsr()


def from_bulk(profiles: Profiles, cells_per_type: int | Mapping[str, int] = 200, **options: Any) -> AnnData:
    """Return cells drawn from bulk profiles, in memory.

    Parameters
    ----------
    profiles, cells_per_type, options
        As in :class:`BulkCells`.

    Returns
    -------
    AnnData with ``X`` CSR int32 (counts), ``obs['cell_type', 'batch', 'simulated_doublet']``,
    ``var['chrom', 'start', 'end']``, ``uns['genome']``, and ``uns['simulated']``, which says how they were made.

    Raises
    ------
    ConfigError
        See :class:`BulkCells`.
    """
    import anndata

    cells = BulkCells(profiles, cells_per_type, **options)
    parts = list(cells.parts())
    obs = pd.concat([part.obs for part in parts])
    for column in (TYPE_KEY, "batch"):
        obs[column] = obs[column].astype("category")
    counts = sp.csr_matrix(sp.vstack([part.counts for part in parts], format="csr"))
    return anndata.AnnData(X=counts, obs=obs, var=cells.var(), uns=cells.uns())


def _joined(counts: list[sp.csr_matrix], obs: list[pd.DataFrame], first: int) -> Part:
    table = pd.concat(obs, ignore_index=True)
    table.index = pd.Index([f"simulated-{first + i + 1:07d}" for i in range(len(table))], dtype=object)
    stacked = sp.csr_matrix(sp.vstack(counts, format="csr"))
    stacked.sort_indices()
    return Part(counts=stacked, obs=table)


def _numbers(names: list[str], cells_per_type: int | Mapping[str, int]) -> list[int]:
    if isinstance(cells_per_type, Mapping):
        unknown = [name for name in cells_per_type if name not in names]
        if unknown:
            raise ConfigError(
                f"There is no profile of '{unknown[0]}'.{nearest(unknown[0], names)} There are: "
                f"{', '.join(names[:12])}{', ...' if len(names) > 12 else ''}."
            )
        n_cells = [int(cells_per_type.get(name, 0)) for name in names]
    else:
        n_cells = [int(cells_per_type)] * len(names)
    if min(n_cells) < 0 or sum(n_cells) < 1:
        raise ConfigError(
            f"{sum(n_cells)} cells are asked for; expected at least 1 in all, and none below 0."
        )
    return n_cells


def _check(*, background: float, doublets: float, batches: int, batch_effect: float) -> None:
    for name, value in (("background", background), ("doublets", doublets)):
        if not 0 <= value <= 1:
            raise ConfigError(f"{name} is {value}; a share from 0 to 1 is expected.")
    if batches < 1:
        raise ConfigError(f"batches is {batches}; expected 1 or more.")
    if batch_effect < 0:
        raise ConfigError(f"batch_effect is {batch_effect}; expected 0 or more.")
