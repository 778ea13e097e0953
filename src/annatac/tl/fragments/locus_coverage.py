"""Coverage of a locus by cell type, as a genome browser shows it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError, InputError, nearest
from annatac.genome.annotation import as_genes
from annatac.genome.regions import Region, parse_region
from annatac.io.fragment_cells import CellFragments
from annatac.tl.fragments.cell_fragments import Fragments, cell_fragments
from annatac.tl.groups import CellGroups, cell_groups

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
COUNTS = ("insertions", "fragments")
NORMALISATIONS = ("total", "cells", "none")
_N_BINS = 1_000
_MAX_REGION_BP = 20_000_000


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Coverage of one region.

    Attributes
    ----------
    region
        Chromosome, start and end in bp (0-based, half-open), name.
    types
        Cell types, in the order of the rows.
    values
        float64, types x bins.
    bin_size
        bp; the last bin may be shorter.
    unit
        What ``values`` are, in words.
    n_cells
        int64, cells of each type.
    type_order
        All types of the data, by which plots choose colours.
    """

    region: Region
    types: list[str]
    values: Floats
    bin_size: int
    unit: str
    n_cells: Ints
    type_order: list[str]

    def to_frame(self) -> pd.DataFrame:
        """Return a row a bin: chrom, start, end, and a column for each type, by its name."""
        start = self.region.start + self.bin_size * np.arange(self.values.shape[1])
        end = np.minimum(start + self.bin_size, self.region.end)
        table = pd.DataFrame({"chrom": self.region.chrom, "start": start, "end": end})
        return pd.concat([table, pd.DataFrame(self.values.T, columns=self.types)], axis=1)


def coverage(
    adata: AnnData,
    fragments: Fragments,
    region: str | Region,
    *,
    groupby: str | None = None,
    types: list[str] | None = None,
    genes: str | Path | pd.DataFrame | None = None,
    flank_bp: int = 10_000,
    bin_size: int | None = None,
    count: str = "insertions",
    normalise: str = "total",
    min_cells: int = 10,
) -> Coverage:
    """Return the coverage of a region by cell type. See :func:`coverages`, which takes several at once."""
    return coverages(
        adata,
        fragments,
        [region],
        groupby=groupby,
        types=types,
        genes=genes,
        flank_bp=flank_bp,
        bin_size=bin_size,
        count=count,
        normalise=normalise,
        min_cells=min_cells,
    )[0]


def coverages(
    adata: AnnData,
    fragments: Fragments,
    regions: Sequence[str | Region],
    *,
    groupby: str | None = None,
    types: list[str] | None = None,
    genes: str | Path | pd.DataFrame | None = None,
    flank_bp: int = 10_000,
    bin_size: int | None = None,
    count: str = "insertions",
    normalise: str = "total",
    min_cells: int = 10,
) -> list[Coverage]:
    """Return the coverage of several regions by cell type, from one reading of the fragments.

    Parameters
    ----------
    adata
        Cells; only ``obs`` is used.
    fragments
        A fragment file, or one for each sample, by the sample's name.
    regions
        ``chr12:6,780,000-6,830,000``, or, with ``genes``, symbols, to which ``flank_bp`` is added.
    groupby
        Column of ``obs`` with the types; ``annatac_label`` where there is one, else all cells are one type.
    types
        Only these types.
    genes
        GTF, GFF3 or BED file, or table (chrom, start, end, symbol), to look symbols up.
    bin_size
        bp; a thousandth of the region otherwise.
    count
        ``'insertions'``: both ends of each fragment, summed in bins; ``'fragments'``: how many fragments
        cover a base, on average over the bin.
    normalise
        ``'total'``: per million insertions (fragments) of the type; ``'cells'``: per cell; ``'none'``.
        Totals come from ``obs['annatac_n_fragments']``, if :func:`annatac.tl.fragment_qc` has written them;
        otherwise the whole file is read to count them, also where it has an index.
    min_cells
        Types of fewer cells are left out.

    Raises
    ------
    InputError
        A region that cannot be understood or is longer than 20 Mb, an unknown gene (the nearest is named), no
        barcode that matches a cell.
    ConfigError
        An unknown ``count`` or ``normalise``, a bin size under 1.
    LabelError
        No such column or type.
    """
    check_choice("count", count, COUNTS)
    check_choice("normalise", normalise, NORMALISATIONS)
    if bin_size is not None and bin_size < 1:
        raise ConfigError(f"bin_size is {bin_size}; at least 1 bp is expected.")
    table = None if genes is None else as_genes(genes)
    wanted = [
        region if isinstance(region, Region) else parse_region(region, genes=table, flank_bp=flank_bp)
        for region in regions
    ]
    for region in wanted:
        if region.end - region.start > _MAX_REGION_BP:
            raise InputError(
                f"The region {region} has {region.end - region.start:,} bp; up to {_MAX_REGION_BP:,} can be "
                "drawn. For whole chromosomes export bigWig files (annatac.tl.export_coverage)."
            )
    groups = cell_groups(adata, groupby, min_cells=min_cells, types=types)
    n_types = len(groups.names)
    widths = [bin_size or max(1, (r.end - r.start) // _N_BINS) for r in wanted]
    sums = [
        np.zeros((n_types, -(-(r.end - r.start) // width))) for r, width in zip(wanted, widths, strict=True)
    ]
    totals = known_totals(adata, groups)
    must_count = normalise == "total" and totals is None
    counted = np.zeros(n_types, dtype=np.int64)
    only = None if must_count else pd.DataFrame(wanted)[["chrom", "start", "end"]]
    seen: dict[str, None] = {}
    for part in cell_fragments(adata, fragments, regions=only):
        seen.setdefault(part.chrom)
        group = groups.code[part.cell]
        if must_count:
            counted += np.bincount(group[group >= 0], minlength=n_types)
        for region, width, values in zip(wanted, widths, sums, strict=True):
            if part.chrom == region.chrom:
                _add(values, part, group, region, width, count)
    for region, values in zip(wanted, sums, strict=True):
        if not values.any():
            _warn_of_nothing(region, list(seen) if must_count else [])
    scale = scale_of(groups, counted if must_count else totals, count=count, normalise=normalise)
    return [
        Coverage(
            region=region,
            types=groups.names,
            values=values * scale[:, None],
            bin_size=width,
            unit=unit_of(count, normalise, width),
            n_cells=groups.n_cells,
            type_order=groups.order,
        )
        for region, width, values in zip(wanted, widths, sums, strict=True)
    ]


def _warn_of_nothing(region: Region, chroms: list[str]) -> None:
    """Warn that a region is empty, and why it may be: ``chroms`` are those with fragments, where they are known."""
    if chroms and region.chrom not in chroms:
        why = f": they are on {', '.join(chroms[:5])}{', ...' if len(chroms) > 5 else ''}. Check the assembly"
    else:
        why = ". Check that it is within the chromosome, and the assembly"
    warnings.warn(f"No fragment of the cells lies in {region}{why}.", AnnatacWarning, stacklevel=3)


def bin_sums(
    start: Ints, end: Ints, group: Ints, bin_size: int, count: str
) -> tuple[Ints, Ints, Floats | None]:
    """Return bin, group and weight of what fragments add to bins that begin at 0; weight None is 1 each."""
    if count == "insertions":
        return np.concatenate([start, end - 1]) // bin_size, np.concatenate([group, group]), None
    first, last = start // bin_size, (end - 1) // bin_size
    n = last - first + 1
    row = np.repeat(np.arange(len(start)), n)
    position = first[row] + np.arange(len(row)) - np.repeat(np.cumsum(n) - n, n)
    inside = np.minimum(end[row], (position + 1) * bin_size) - np.maximum(start[row], position * bin_size)
    return position, group[row], inside / bin_size


def known_totals(adata: AnnData, groups: CellGroups) -> Ints | None:
    """Return the fragments of each type by ``obs['annatac_n_fragments']``, or None where it is not there."""
    if keys.N_FRAGMENTS not in adata.obs:
        return None
    n = pd.to_numeric(adata.obs[keys.N_FRAGMENTS], errors="coerce").to_numpy(dtype=float)
    used = groups.code >= 0
    if not np.isfinite(n[used]).all():
        return None
    return np.bincount(groups.code[used], weights=n[used], minlength=len(groups.names)).astype(np.int64)


def scale_of(groups: CellGroups, totals: Ints | None, *, count: str, normalise: str) -> Floats:
    """Return what each type's sums are multiplied by; 0 for a type without fragments."""
    if normalise == "none":
        return np.ones(len(groups.names))
    per = groups.n_cells.astype(float)
    if normalise == "total":
        assert totals is not None
        per = totals * (2.0 if count == "insertions" else 1.0) / 1e6
    return np.divide(1.0, per, out=np.zeros_like(per), where=per > 0)


def unit_of(count: str, normalise: str, bin_size: int) -> str:
    """Return the unit of normalised coverage in words."""
    per = {"total": " per million", "cells": " per cell", "none": ""}[normalise]
    if count == "insertions":
        return f"insertions{per} in {bin_size:,} bp"
    return f"fragments over a base{per}"


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """Raise ConfigError where ``value`` is none of ``known``."""
    if value not in known:
        raise ConfigError(f"{name} is '{value}'; expected one of: {', '.join(known)}.{nearest(value, known)}")


def _add(values: Floats, part: CellFragments, group: Ints, region: Region, bin_size: int, count: str) -> None:
    near = (group >= 0) & (part.end > region.start) & (part.start < region.end)
    if not near.any():
        return
    start, end = part.start[near] - region.start, part.end[near] - region.start
    length = region.end - region.start
    if count == "fragments":
        start, end = np.maximum(start, 0), np.minimum(end, length)
        position, code, weight = bin_sums(start, end, group[near], bin_size, count)
        assert weight is not None
        rest = length - (values.shape[1] - 1) * bin_size
        if rest != bin_size:  # the last bin is shorter
            weight = np.where(position == values.shape[1] - 1, weight * bin_size / rest, weight)
        np.add.at(values, (code, position), weight)
        return
    at = np.concatenate([start, end - 1])
    inside = (at >= 0) & (at < length)
    np.add.at(values, (np.tile(group[near], 2)[inside], at[inside] // bin_size), 1.0)
