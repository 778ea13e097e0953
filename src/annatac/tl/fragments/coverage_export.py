"""Coverage of the whole genome by cell type, as bigWig or bedGraph files for a genome browser."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import keys
from annatac.errors import AnnatacWarning, AssemblyError, ConfigError, InputError, MissingDependencyError
from annatac.genome.assemblies import chrom_lengths, is_known
from annatac.genome.chroms import sort_key
from annatac.io.atomic import atomic_dir
from annatac.io.safe_names import safe_names
from annatac.tl.fragments.cell_fragments import Fragments, cell_fragments
from annatac.tl.fragments.locus_coverage import (
    COUNTS,
    NORMALISATIONS,
    bin_sums,
    check_choice,
    scale_of,
    unit_of,
)
from annatac.tl.groups import CellGroups, cell_groups

if TYPE_CHECKING:
    from anndata import AnnData

FORMATS = {"bigwig": "bw", "bedgraph": "bedgraph.gz"}
TABLE = "tracks.tsv"
_ENTRY = np.dtype([("bin", "<i8"), ("value", "<f4")])


def export_coverage(
    adata: AnnData,
    fragments: Fragments,
    output: str | Path,
    *,
    groupby: str | None = None,
    types: list[str] | None = None,
    file_format: str = "bigwig",
    genome: str | Path | None = None,
    bin_size: int = 50,
    count: str = "insertions",
    normalise: str = "total",
    min_cells: int = 10,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Write one coverage file for each cell type into a folder, and return the table of their names.

    The fragments are streamed once; sums wait on disk, so that memory does not grow with cells or fragments
    (about 8 bytes a bin of the longest chromosome). The folder appears whole or not at all.

    Parameters
    ----------
    adata
        Cells; only ``obs`` and ``uns['genome']`` are used.
    fragments
        A fragment file, or one for each sample, by the sample's name.
    output
        Folder for the files and ``tracks.tsv``. File names are made safe; which type is in which file stands
        in the table.
    groupby, types, count, normalise, min_cells
        See :func:`annatac.tl.coverages`.
    file_format
        ``'bigwig'`` (needs pyBigWig) or ``'bedgraph'`` (gzipped text).
    genome
        Assembly, or file of chromosome lengths, for bigWig's header; ``uns['genome']`` otherwise. Chromosomes
        that it does not list are left out. Without any the last fragment ends a chromosome (a warning says
        so).
    bin_size
        bp.

    Returns
    -------
    DataFrame, one row a type: cell_type, file, n_cells, n_fragments, unit.

    Raises
    ------
    OutputError
        The folder exists (without ``overwrite``) or cannot be written.
    InputError
        No barcode matches a cell, or no fragment lies on a chromosome of the assembly.
    AssemblyError
        A fragment lies past the end of its chromosome.
    ConfigError
        An unknown format, count or normalisation.
    MissingDependencyError
        bigWig without pyBigWig.
    """
    check_choice("file_format", file_format, list(FORMATS))
    check_choice("count", count, COUNTS)
    check_choice("normalise", normalise, NORMALISATIONS)
    if bin_size < 1:
        raise ConfigError(f"bin_size is {bin_size}; at least 1 bp is expected.")
    if file_format == "bigwig":
        _big_wig()
    groups = cell_groups(adata, groupby, min_cells=min_cells, types=types)
    lengths = _lengths(adata, genome)
    with atomic_dir(output, overwrite=overwrite) as folder:
        with _Spool(folder / "sums", len(groups.names)) as spool:
            n_fragments = _spool_sums(adata, fragments, groups, spool, lengths, bin_size, count)
            scale = scale_of(groups, n_fragments, count=count, normalise=normalise)
            seen = sorted(spool.last_end, key=sort_key)
            if lengths is None and file_format == "bigwig":
                warnings.warn(
                    "The assembly is not known, so that each chromosome ends with its last fragment in the "
                    "bigWig files. Pass genome, such as 'hg38' or a file of chromosome lengths.",
                    AnnatacWarning,
                    stacklevel=2,
                )
            header = [(chrom, spool.last_end[chrom] if lengths is None else lengths[chrom]) for chrom in seen]
            slugs = safe_names(groups.names)
            files = [f"{slug}.{FORMATS[file_format]}" for slug in slugs]
            write = _write_bigwig if file_format == "bigwig" else _write_bedgraph
            for number, file in enumerate(files):
                tracks = _track(spool, number, header, bin_size, float(scale[number]))
                write(folder / file, tracks, header)
        table = pd.DataFrame(
            {
                "cell_type": groups.names,
                "file": files,
                "n_cells": groups.n_cells,
                "n_fragments": n_fragments,
                "unit": unit_of(count, normalise, bin_size),
            }
        )
        table.to_csv(folder / TABLE, sep="\t", index=False)
    return table


class _Spool:
    """Sums of bins on disk: one file a type, of pieces whose chromosome is remembered."""

    def __init__(self, folder: Path, n_types: int):
        folder.mkdir()
        self._folder = folder
        self._files: list[IO[bytes]] = [(folder / str(i)).open("w+b") for i in range(n_types)]
        self._pieces: list[dict[str, list[tuple[int, int]]]] = [{} for _ in range(n_types)]
        self.last_end: dict[str, int] = {}

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *_: object) -> None:
        for i, file in enumerate(self._files):
            file.close()
            (self._folder / str(i)).unlink()
        self._folder.rmdir()

    def add(self, number: int, chrom: str, bins: npt.NDArray[np.int64], values: npt.NDArray[Any]) -> None:
        """Keep the sums of some bins of a type; the same bin may come again."""
        entries = np.empty(len(bins), dtype=_ENTRY)
        entries["bin"], entries["value"] = bins, values
        file = self._files[number]
        self._pieces[number].setdefault(chrom, []).append((file.tell(), len(bins)))
        file.write(entries.tobytes())

    def sums(self, number: int, chrom: str) -> npt.NDArray[np.float64]:
        """Return the sums of a type on a chromosome, from its first bin to the last that is not 0."""
        parts = []
        file = self._files[number]
        for offset, n in self._pieces[number].get(chrom, []):
            file.seek(offset)
            parts.append(np.frombuffer(file.read(n * _ENTRY.itemsize), dtype=_ENTRY))
        file.seek(0, 2)
        if not parts:
            return np.zeros(0)
        total = np.zeros(max(int(part["bin"].max()) for part in parts) + 1)
        for part in parts:
            np.add.at(total, part["bin"], part["value"].astype(float))
        return total


def _spool_sums(
    adata: AnnData,
    fragments: Fragments,
    groups: CellGroups,
    spool: _Spool,
    lengths: dict[str, int] | None,
    bin_size: int,
    count: str,
) -> npt.NDArray[np.int64]:
    """Stream the fragments into the spool and return the fragments of each type."""
    n_types = len(groups.names)
    n_fragments = np.zeros(n_types, dtype=np.int64)
    for part in cell_fragments(adata, fragments):
        group = groups.code[part.cell]
        used = group >= 0
        start, end, group = part.start[used], part.end[used], group[used]
        n_fragments += np.bincount(group, minlength=n_types)
        if (lengths is not None and part.chrom not in lengths) or not len(end):
            continue
        last = int(end.max())
        if lengths is not None and last > lengths[part.chrom]:
            raise AssemblyError(
                f"A fragment ends at {part.chrom}:{last:,}, past the end of the chromosome "
                f"({lengths[part.chrom]:,} bp): fragments and assembly differ. Give the right genome."
            )
        spool.last_end[part.chrom] = max(last, spool.last_end.get(part.chrom, 0))
        position, code, weight = bin_sums(start, end, group, bin_size, count)
        first = int(position.min())
        width = int(position.max()) - first + 1
        joint, place = np.unique(code * width + position - first, return_inverse=True)
        sums = np.bincount(place, weights=weight)
        type_of = joint // width
        bounds = np.searchsorted(type_of, np.arange(n_types + 1))
        for number in np.unique(type_of):
            a, b = bounds[number], bounds[number + 1]
            spool.add(int(number), part.chrom, joint[a:b] % width + first, sums[a:b])
    if not spool.last_end:
        raise InputError(
            "No fragment of the cells lies on a chromosome of the assembly"
            + (f" ({', '.join(list(lengths)[:3])}, ...)." if lengths else ".")
        )
    return n_fragments


def _track(
    spool: _Spool, number: int, header: list[tuple[str, int]], bin_size: int, scale: float
) -> Iterator[tuple[str, npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
    """Yield for each chromosome start, end and value of the stretches of equal coverage that are not 0."""
    for chrom, length in header:
        values = spool.sums(number, chrom) * scale
        if not values.any():
            continue
        edge = np.flatnonzero(np.diff(values)) + 1
        first = np.concatenate([[0], edge])
        last = np.append(edge, len(values))
        filled = values[first] != 0
        first, last = first[filled], last[filled]
        yield chrom, first * bin_size, np.minimum(last * bin_size, length), values[first]


def _write_bigwig(path: Path, tracks: Iterator[Any], header: list[tuple[str, int]]) -> None:
    file = _big_wig().open(str(path), "w")
    try:
        file.addHeader(header)
        for chrom, start, end, value in tracks:
            for a in range(0, len(start), 500_000):
                part = slice(a, a + 500_000)
                names = [chrom] * len(start[part])
                file.addEntries(
                    names, start[part].tolist(), ends=end[part].tolist(), values=value[part].tolist()
                )
    finally:
        file.close()


def _write_bedgraph(path: Path, tracks: Iterator[Any], _: list[tuple[str, int]]) -> None:
    with gzip.open(path, "wt", compresslevel=5) as file:
        for chrom, start, end, value in tracks:
            rows = zip(start.tolist(), end.tolist(), value.tolist(), strict=True)
            file.writelines(f"{chrom}\t{a}\t{b}\t{v:.6g}\n" for a, b, v in rows)


def _big_wig() -> Any:
    try:
        import pyBigWig
    except ImportError as error:
        raise MissingDependencyError(
            "bigWig files need pyBigWig, which is not installed. Install it with: pip install "
            "'annatac[bigwig]', or write bedGraph files (file_format='bedgraph')."
        ) from error
    return pyBigWig


def _lengths(adata: AnnData, genome: str | Path | None) -> dict[str, int] | None:
    if genome is not None:
        return chrom_lengths(genome)
    stated = adata.uns.get(keys.GENOME)
    return chrom_lengths(str(stated)) if stated is not None and is_known(str(stated)) else None
