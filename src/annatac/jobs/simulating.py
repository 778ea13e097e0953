"""Bulk profiles -> a file of simulated cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import datasets, keys
from annatac.errors import ConfigError, InputError, MissingFileError, nearest
from annatac.genome.assemblies import genome_label
from annatac.genome.bed import read_bed
from annatac.genome.intervals import intervals_of
from annatac.io.atomic import check_writable
from annatac.io.write import write_parts
from annatac.pp.counts import as_csr
from annatac.pp.reading import read
from annatac.simulate.bulk import BulkCells
from annatac.simulate.fit import CellStatistics, cell_statistics, columns_of, fit_mixture
from annatac.simulate.profiles import TYPE_KEY, Profiles, as_profiles, read_profiles

if TYPE_CHECKING:
    from anndata import AnnData

MOST_OPEN_PEAKS = 2**31 - 1  # entries of a sparse matrix with indices of 32 bits
BACKGROUND, QUERY_BACKGROUND = 0.1, 0.5  # the second was chosen on BM0828 (docs/zero-shot.md)


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What was written, and what the cells take after."""

    n_cells: dict[str, int]
    n_peaks: int
    n_peaks_of_query: int
    genome: str
    median_open: float
    shares: dict[str, float]


def simulate(
    source: str | Path,
    output: str | Path,
    *,
    cells_per_type: int = 200,
    mixture: str | Path = "equal",
    query: str | Path | None = None,
    like: str | Path | None = None,
    peaks: str | Path | None = None,
    type_key: str = TYPE_KEY,
    genome: str | None = None,
    merge: bool = False,
    median_open: float | None = None,
    background: float | None = None,
    doublets: float = 0.0,
    batches: int = 1,
    batch_effect: float = 0.2,
    seed: int = 0,
) -> Simulated:
    """Write cells drawn from bulk profiles (h5ad).

    Parameters
    ----------
    source
        Profiles: an h5ad file, a folder of one BED, narrowPeak or bigWig file a type, or the name of a data set
        (:mod:`annatac.datasets`).
    cells_per_type, mixture
        Cells of each type; the types in equal numbers, in the shares that ``query`` seems to hold (``'fitted'``), or
        as many cells a type as a table of type and number says.
    query
        Unlabelled cells that the simulated ones are to stand in for: their peaks, depth, counts, and the mean
        openness of each peak (of which the profiles' ratios between types make each type's).
    like, peaks
        Without a query: cells whose depth and counts are taken on; a BED file, or cells, with the peaks.
    median_open
        Open islands of the median cell, without a query and without ``like``.
    background
        By default 0.5 with a query, else 0.1.

    The other parameters are those of :func:`annatac.simulate.as_profiles` and
    :class:`annatac.simulate.bulk.BulkCells`.

    Raises
    ------
    InputError, LabelError, AssemblyError, ConfigError, MissingDependencyError, OutputError
        Profiles without names, with a type twice, on another assembly than the query or without coordinates; options
        that do not go together; an output not writable. Then nothing is written.
    """
    check_writable(output)
    if query is not None and (like is not None or peaks is not None or median_open is not None):
        raise ConfigError(
            "A query gives peaks, depth and counts: leave out --like, --peaks and --median-open, or the query."
        )
    if like is not None and median_open is not None:
        raise ConfigError("--like gives the depth: leave out --median-open, or --like.")
    if mixture == "fitted" and query is None:
        raise ConfigError("--mixture fitted needs the cells whose mixture is to be found: --query.")
    cells = None if query is None else _cells(query)
    table, stated = (None, None) if peaks is None else _peaks(peaks)
    if cells is not None:
        table, stated = intervals_of(cells.var), cells.uns.get(keys.GENOME)
        if table is None:
            raise InputError(
                f"The features of {query} have no coordinates: cells can be simulated in peaks or bins alone."
            )
    profiles = _profiles(source, type_key=type_key, genome=genome, merge=merge, peaks=table)
    if table is not None:
        profiles = profiles.on_peaks(table, stated)
    background = background if background is not None else BACKGROUND if cells is None else QUERY_BACKGROUND
    shares: npt.NDArray[np.float64] | None = None
    if cells is not None:
        statistics = cell_statistics(cells, peaks=profiles.peaks)
        shares = mixture_of(cells, profiles, statistics, background=background)
    elif like is not None:
        statistics = cell_statistics(_cells(like))
    else:
        statistics = (
            CellStatistics.usual() if median_open is None else CellStatistics.usual(median_open=median_open)
        )
    drawn = BulkCells(
        profiles,
        _numbers(mixture, cells_per_type, profiles.names, shares),
        statistics=statistics,
        shares=shares,
        background=background,
        doublets=doublets,
        batches=batches,
        batch_effect=batch_effect,
        seed=seed,
    )
    _refuse_too_many(sum(drawn.n_cells), statistics)
    write_parts(
        output,
        ((part.counts, part.obs) for part in drawn.parts()),
        var=drawn.var(),
        uns=drawn.uns(),
        categories={TYPE_KEY: profiles.names, "batch": [f"batch{i + 1}" for i in range(batches)]},
    )
    return Simulated(
        n_cells=dict(zip(profiles.names, drawn.n_cells, strict=True)),
        n_peaks=len(profiles.peaks),
        n_peaks_of_query=0 if table is None else len(table),
        genome=profiles.genome,
        median_open=float(np.median(statistics.open_islands)),
        shares={} if shares is None else dict(zip(profiles.names, shares.tolist(), strict=True)),
    )


def _refuse_too_many(n_cells: int, statistics: CellStatistics) -> None:
    """Refuse more open peaks than one file holds, before they are drawn; each open island has one or more.

    Raises
    ------
    ConfigError
        Names the numbers, and what to do.
    """
    mean_open = float(statistics.open_islands.mean())
    if n_cells * mean_open > MOST_OPEN_PEAKS:
        raise ConfigError(
            f"{n_cells:,} cells of {mean_open:,.0f} open islands on average are more than the {MOST_OPEN_PEAKS:,} open "
            f"peaks that one file holds. Ask for at most {int(MOST_OPEN_PEAKS / mean_open):,} cells, and write several "
            "files with different seeds."
        )


def mixture_of(
    cells: AnnData, profiles: Profiles, statistics: CellStatistics, *, background: float
) -> npt.NDArray[np.float64]:
    """Return the shares of the types that unlabelled cells seem to hold, float64 (T,), sum 1.

    ``profiles`` and ``statistics`` are those over the cells' peaks.
    """
    assert statistics.openness is not None
    total = np.asarray(profiles.signal.sum(axis=1)).ravel()
    rates = np.asarray(profiles.signal.todense(), dtype=np.float64) / total[:, None]
    rates = (1 - background) * rates + background * rates.mean(axis=0)
    return fit_mixture(as_csr(cells.X)[:, columns_of(cells, profiles.peaks)], rates, statistics.openness)


def _profiles(
    source: str | Path, *, peaks: pd.DataFrame | None, type_key: str, genome: str | None, merge: bool
) -> Any:
    if Path(source).exists():
        return read_profiles(source, type_key=type_key, genome=genome, merge=merge, peaks=peaks)
    if str(source) not in datasets.DATASETS:
        known = [name for name, entry in datasets.DATASETS.items() if entry.file.startswith("bulk/")]
        raise MissingFileError(
            f"{source} is neither a file or folder nor a data set of bulk profiles.{nearest(str(source), known)} "
            f"Known: {', '.join(known)}."
        )
    return as_profiles(datasets.load_profiles(str(source)), type_key=type_key, genome=genome, merge=merge)


def _cells(path: str | Path) -> AnnData:
    return read(path)


def _peaks(path: str | Path) -> tuple[pd.DataFrame, str | None]:
    """Return the peaks of a BED file or of cells, and their assembly where it is stated."""
    if Path(path).suffix in (".h5", ".h5ad", ".zarr", ".h5mu") or Path(path).is_dir():
        adata = read(path, backed=Path(path).suffix == ".h5ad")
        table = intervals_of(adata.var)
        if table is None:
            raise InputError(
                f"The features of {path} have no coordinates; a BED file or cells x peaks is expected."
            )
        stated = adata.uns.get(keys.GENOME)
        return table, None if stated is None else genome_label(str(stated))
    return read_bed(path), None


def _numbers(
    mixture: str | Path, cells_per_type: int, names: list[str], shares: npt.NDArray[np.float64] | None
) -> int | dict[str, int]:
    if mixture == "equal":
        return cells_per_type
    if mixture == "fitted":
        assert shares is not None
        n_cells = np.round(shares * cells_per_type * len(names)).astype(int)
        return dict(zip(names, np.maximum(n_cells, 2).tolist(), strict=True))
    if not Path(mixture).is_file():
        raise ConfigError(
            f"--mixture {mixture} is neither 'equal' nor 'fitted' nor a file. Expected a table of type and number of "
            "cells (CSV or TSV)."
        )
    try:
        table = pd.read_csv(mixture, sep=None, engine="python")
        return {str(name): int(n) for name, n in zip(table.iloc[:, 0], table.iloc[:, 1], strict=True)}
    except (ValueError, IndexError, pd.errors.ParserError) as error:
        raise InputError(
            f"{mixture} cannot be read as a table of type and number of cells ({error}). Expected a header and two "
            "columns."
        ) from error
