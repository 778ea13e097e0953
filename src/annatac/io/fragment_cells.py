"""The fragments of known cells: barcodes of a file against the names of the cells, streamed or by region."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.errors import AnnatacWarning, InputError
from annatac.genome.chroms import to_ucsc
from annatac.io.barcodes import examples
from annatac.io.fragment_index import indexed_blocks
from annatac.io.fragment_lines import FragmentBlock
from annatac.io.fragments import _blocks, _number, _Order
from annatac.io.hash_table import HashTable
from annatac.io.labels import _WAYS

_N_LOOKED_AT = 1_000_000  # fragments that decide how barcodes and cells are compared
_SHORTEN = dict(_WAYS)


@dataclass(frozen=True, kw_only=True)
class CellFragments:
    """Fragments of one chromosome (UCSC name) that belong to cells: int64 start, end and row of the cell."""

    chrom: str
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    cell: npt.NDArray[np.int64]


class CellFragmentReader:
    """Reads the fragments of known cells from one file, and counts what matched.

    Barcodes are compared as they stand, without a suffix such as ``-1``, without a sample in front
    (``sample:``, ``sample#``, ``sample_``), or without both: the way that finds most cells among the first
    million fragments, the plainest of equal ones. A way that makes two cells the same is not used.

    Attributes
    ----------
    way
        How names were shortened, '' for not at all.
    n_fragments, n_matched
        Fragments read so far, and those that belong to a cell.
    has_fragments
        Bool array: which cells were seen.
    n_found_first
        Cells among the barcodes of the first fragments, by which the way was chosen.
    knows_all
        Whether these were all fragments of the file.

    Raises
    ------
    InputError
        No barcode in common (examples of both are shown), or only in an ambiguous way.
    MissingFileError, DamagedFileError
        No such file; a broken one.
    """

    def __init__(self, path: str | Path, cells: Sequence[str]):
        self.path = Path(path)
        self._cells = [str(name) for name in cells]
        self._table = HashTable()
        self._names: list[str] = []
        self._row = np.empty(0, dtype=np.int64)
        self._owner: dict[int, str] = {}
        self.n_fragments = self.n_matched = 0
        self.has_fragments = np.zeros(len(self._cells), dtype=bool)
        self.n_found_first, self.knows_all = 0, True
        self.way = self._choose_way()
        shorten = _SHORTEN[self.way]
        self._row_of = {shorten(name): i for i, name in enumerate(self._cells)}

    def read(self, regions: pd.DataFrame | None = None) -> Iterator[CellFragments]:
        """Yield the fragments of cells in the order of the file.

        Parameters
        ----------
        regions
            Columns chrom, start, end: only fragments that overlap these are needed. Where the file has a
            ``.tbi``, pysam is installed and the regions are a small part of the file, only they are read;
            else the file is streamed and fragments elsewhere come too.
        """
        blocks = None if regions is None else indexed_blocks(self.path, regions)
        if blocks is None:
            blocks = self._all_blocks()
        for block in blocks:
            cell = self._rows(block)
            self.n_fragments += len(cell)
            for chrom, a, b in zip(
                to_ucsc(block.chroms), block.chrom_start[:-1], block.chrom_start[1:], strict=True
            ):
                mine = np.flatnonzero(cell[a:b] >= 0)
                if not len(mine):
                    continue
                self.n_matched += len(mine)
                rows = cell[a:b][mine]
                self.has_fragments[rows] = True
                yield CellFragments(
                    chrom=str(chrom), start=block.start[a:b][mine], end=block.end[a:b][mine], cell=rows
                )

    def _all_blocks(self) -> Iterator[FragmentBlock]:
        order = _Order(self.path)
        for block in _blocks(self.path):
            order.check(block)
            yield block

    def _rows(self, block: FragmentBlock) -> npt.NDArray[np.int64]:
        """Return the cell of each fragment, -1 where it is none of ours."""
        number = _number(block, self._table, self._names)
        n_known = len(self._row)
        if len(self._names) > n_known:
            shorten = _SHORTEN[self.way]
            new = [self._row_of.get(shorten(name), -1) for name in self._names[n_known:]]
            for name, row in zip(self._names[n_known:], new, strict=True):
                if row >= 0 and self._owner.setdefault(row, name) != name:
                    raise InputError(
                        f"Two barcodes of {self.path}, '{self._owner[row]}' and '{name}', are the cell "
                        f"'{self._cells[row]}' once names are compared {self.way}. Give the cells the same "
                        "names as in the file, or one fragment file for each sample."
                    )
            self._row = np.append(self._row, np.array(new, dtype=np.int64))
        return self._row[number]

    def _choose_way(self) -> str:
        """Return the way of comparing names that finds most cells at the beginning of the file."""
        table, n, n_seen_before = HashTable(), 0, 0
        names: list[str] = []
        targets: dict[str, set[str]] = {}
        ambiguous = ""
        for way, shorten in _WAYS:
            short = {shorten(name) for name in self._cells}
            if len(short) == len(set(self._cells)):
                targets[way] = short
        found: dict[str, set[str]] = {way: set() for way, _ in _WAYS}
        blocks = _blocks(self.path)
        try:
            for block in blocks:
                _number(block, table, names)
                n += len(block.start)
                for way, short in targets.items():
                    shorten = _SHORTEN[way]
                    found[way].update(key for key in map(shorten, names[n_seen_before:]) if key in short)
                n_seen_before = len(names)
                if n >= _N_LOOKED_AT and any(found.values()):
                    self.knows_all = False
                    break
        finally:
            blocks.close()  # type: ignore[attr-defined]
        best = max(targets, key=lambda way: len(found[way]), default="")  # the first of equal ones
        if targets and found[best]:
            self.n_found_first = len(found[best])
            return best
        if not names:
            raise InputError(
                f"{self.path} holds no fragments. Expected lines of chrom, start, end and barcode."
            )
        for way, shorten in _WAYS:
            if way not in targets and {shorten(name) for name in self._cells} & set(map(shorten, names)):
                ambiguous = way
                break
        why = (
            f"Only {ambiguous} do they agree, and then several cells have one name: give one fragment file a "
            "sample, by its name: --fragments SAMPLE=FILE, again for each (in Python {'SAMPLE': 'FILE'})."
            if ambiguous
            else "Expected the same barcodes in both; a suffix such as '-1' and a sample in front may differ."
        )
        raise InputError(
            f"None of the {len(names):,} barcodes of {self.path} is among the {len(self._cells):,} cells. The "
            f"file has names like {examples(names)}, the cells are like {examples(self._cells)}. {why}"
        )


def warn_of_match(reader: CellFragmentReader, *, whole_file: bool, stacklevel: int = 3) -> None:
    """Warn where names were shortened, and where cells have no fragment in the file.

    Of a file of which only regions were read, that is known of a small one, and guessed from the first million
    fragments of a large one: then less than half of the cells makes a warning.
    """
    parts = []
    if reader.way:
        parts.append(f"barcodes are matched to cells {reader.way}")
    n_found, n_cells = int(reader.has_fragments.sum()), len(reader.has_fragments)
    if whole_file and n_found < n_cells:
        parts.append(f"{n_cells - n_found:,} of the {n_cells:,} cells have no fragment in it")
    if not whole_file and reader.knows_all and reader.n_found_first < n_cells:
        parts.append(f"{n_cells - reader.n_found_first:,} of the {n_cells:,} cells have no fragment in it")
    elif not whole_file and 2 * reader.n_found_first < n_cells:
        parts.append(
            f"only {reader.n_found_first:,} of the {n_cells:,} cells are among the barcodes of its first "
            f"{_N_LOOKED_AT:,} fragments"
        )
    if parts and whole_file:
        share = reader.n_matched / max(reader.n_fragments, 1)
        parts.append(f"{share:.1%} of its {reader.n_fragments:,} fragments belong to cells")
    if parts:
        warnings.warn(f"{reader.path}: {'; '.join(parts)}.", AnnatacWarning, stacklevel=stacklevel)
