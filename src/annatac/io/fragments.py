"""Fragment files (``fragments.tsv.gz``) -> insertions in bins or peaks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from annatac.errors import AnnatacWarning, AssemblyError, InputError
from annatac.genome.assemblies import genome_label
from annatac.genome.chroms import to_ucsc
from annatac.io.barcodes import Barcodes, metrics_beside, rows_of
from annatac.io.counts import insertion_anndata
from annatac.io.fragment_lines import FragmentBlock, parse_block
from annatac.io.hash_table import HashTable
from annatac.io.insertions import Bins, InsertionCounter, Peaks
from annatac.io.textblocks import in_thread, line_blocks

if TYPE_CHECKING:
    from anndata import AnnData

_MANY_BARCODES = 10_000  # above, with a median below _FEW_FRAGMENTS, most are empty droplets
_FEW_FRAGMENTS = 100


class _Order:
    """Checks that fragments come sorted by chromosome and start, across blocks."""

    def __init__(self, path: Path):
        self.path = path
        self.seen: set[str] = set()
        self.chrom = ""
        self.start = 0

    def check(self, block: FragmentBlock) -> None:
        """Raise InputError, naming file and line, at the first fragment that is out of order."""
        for chrom, a, b in zip(block.chroms, block.chrom_start[:-1], block.chrom_start[1:], strict=True):
            if chrom != self.chrom:
                if chrom in self.seen:
                    self._refuse(block.line_of(a), f"{chrom} comes back after {self.chrom}")
                self.seen.add(chrom)
                self.chrom, self.start = chrom, 0
            start = block.start[a:b]
            if start[0] < self.start:
                self._refuse(block.line_of(a), f"{chrom}:{start[0]} comes after {chrom}:{self.start}")
            back = np.flatnonzero(start[1:] < start[:-1])
            if len(back):
                i = int(back[0])
                found = f"{chrom}:{start[i + 1]} comes after {chrom}:{start[i]}"
                self._refuse(block.line_of(a + i + 1), found)
            self.start = int(start[-1])

    def _refuse(self, line: int, found: str) -> None:
        name = self.path.name
        raise InputError(
            f"{self.path}, line {line}: not sorted, {found}. Expected fragments sorted by chromosome and "
            f"start: `zcat {name} | grep -v '^#' | sort -k1,1 -k2,2n | bgzip > sorted.{name}`."
        )


def _blocks(path: Path) -> Iterator[FragmentBlock]:
    def numbered() -> Iterator[tuple[bytes, int]]:
        line = 1
        for text in line_blocks(path):
            yield text, line
            line += text.count(b"\n")

    for block in in_thread(lambda item: parse_block(item[0], path, item[1]), numbered()):
        if block is not None:
            yield block


def stated_genome(path: Path) -> str | None:
    """Return the assembly in a 10x header line ``# reference_path=...``, if there is one."""
    for text in line_blocks(path, block_bytes=1 << 14):
        for line in text.split(b"\n"):
            if line.startswith(b"# reference_path="):
                return genome_label(line.partition(b"=")[2].decode("utf-8", "replace").strip().rstrip("/"))
            if line and not line.startswith(b"#"):
                return None
        return None
    return None


def read_fragments(
    path: Path,
    *,
    features: Bins | Peaks,
    barcodes: Barcodes | None = None,
    min_fragments: int | None = None,
    chrom_sizes: Mapping[str, int] | None = None,
) -> AnnData:
    """Return the insertions of each cell of a fragment file in bins or peaks.

    Every fragment is two insertions, at ``start`` and at ``end - 1``; each counts 1 in the bin or in every
    peak that contains it, however many reads support the fragment (the fifth column is not used). The file
    is streamed; a ``.tbi`` is not needed.

    Parameters
    ----------
    path
        4 or 5 columns, sorted by chromosome and start, plain or gzipped; lines starting with ``#`` are
        comments.
    barcodes
        See :func:`annatac.io.barcodes.cell_barcodes`. Without it and without ``min_fragments``, the
        ``singlecell.csv`` or ``per_barcode_metrics.csv`` beside the file is used, else all barcodes.
    min_fragments
        Keep the barcodes with at least so many fragments.
    chrom_sizes
        Length in bp of the chromosomes to count, in UCSC style; others are left out.

    Raises
    ------
    MissingFileError, DamagedFileError
        No such file; a truncated or corrupt gzip stream.
    InputError
        A bad or unsorted line (file and line are named); no fragment; no barcode left.
    AssemblyError
        A fragment ends behind the end of its chromosome.
    """
    if barcodes is None and min_fragments is None:
        barcodes = metrics_beside(path)
        if barcodes is not None:
            warnings.warn(
                f"Cells are the barcodes that {barcodes} calls cells. Pass a list of barcodes or a minimum "
                "of "
                "fragments to choose otherwise (min_fragments=1 takes all).",
                AnnatacWarning,
                stacklevel=2,
            )
    counter = InsertionCounter(features)
    names: list[str] = []
    table = HashTable()
    n_fragments = np.zeros(1 << 12, dtype=np.int64)
    order = _Order(path)
    for block in _blocks(path):
        order.check(block)
        cell = _number(block, table, names)
        while len(names) > len(n_fragments):
            n_fragments = np.append(n_fragments, np.zeros_like(n_fragments))
        np.add.at(n_fragments, cell, 1)
        for chrom, a, b in zip(block.chroms, block.chrom_start[:-1], block.chrom_start[1:], strict=True):
            if chrom_sizes is not None and not _inside(path, block, chrom, a, b, chrom_sizes):
                continue
            counter.add(chrom, cell[a:b], block.start[a:b], block.end[a:b] - 1)
    if not names:
        raise InputError(f"{path} holds no fragments. Expected lines of chrom, start, end and barcode.")
    n_fragments = n_fragments[: len(names)]
    if barcodes is not None:
        cells = rows_of(barcodes, names, path)
    else:
        cells = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
        _warn_if_unfiltered(path, n_fragments, min_fragments)
    if min_fragments is not None:
        cells = cells[n_fragments[cells] >= min_fragments]
        if not len(cells):
            raise InputError(
                f"No barcode of {path} has {min_fragments:,} fragments; the richest has "
                f"{n_fragments.max():,}. "
                "Lower the minimum of fragments."
            )
    counts, var = counter.result(cells)
    return insertion_anndata(counts, [names[i] for i in cells], var, features)


def _number(block: FragmentBlock, table: HashTable, names: list[str]) -> npt.NDArray[np.int64]:
    """Return the number of each fragment's barcode; new barcodes are added to ``table`` and ``names``."""
    cell = table.find(block.barcode_hash)
    new = np.flatnonzero(cell < 0)
    if len(new):
        hashes, first = np.unique(block.barcode_hash[new], return_index=True)
        names.extend(block.barcode(i) for i in new[first])
        table.add(hashes)
        cell[new] = table.find(block.barcode_hash[new])
    return cell


def _inside(
    path: Path, block: FragmentBlock, chrom: str, a: int, b: int, chrom_sizes: Mapping[str, int]
) -> bool:
    length = chrom_sizes.get(str(to_ucsc([chrom])[0]), chrom_sizes.get(chrom))
    if length is None:
        return False
    past = np.flatnonzero(block.end[a:b] > length)
    if len(past):
        i = a + int(past[0])
        raise AssemblyError(
            f"{path}, line {block.line_of(i)}: the fragment ends at {block.end[i]:,}, behind the end of "
            f"{chrom} "
            f"({length:,} bp by the chromosome lengths given). Give the lengths of the assembly that the "
            "fragments were aligned to."
        )
    return True


def _warn_if_unfiltered(path: Path, n_fragments: np.ndarray, min_fragments: int | None) -> None:
    median = float(np.median(n_fragments))
    if min_fragments is None and len(n_fragments) > _MANY_BARCODES and median < _FEW_FRAGMENTS:
        warnings.warn(
            f"All {len(n_fragments):,} barcodes of {path} were read; half have fewer than {median + 1:,.0f} "
            "fragments, so most are empty droplets. Pass the list of cells or a minimum of fragments.",
            AnnatacWarning,
            stacklevel=3,
        )
