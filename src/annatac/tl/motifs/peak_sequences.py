"""The sequences of peaks, joined into one array."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.errors import AnnatacWarning, AssemblyError, InputError
from annatac.genome.chroms import to_ucsc
from annatac.genome.fasta import UNKNOWN_BASE, Genome

_TOO_WIDE_BP = 2500


@dataclass(frozen=True, kw_only=True, eq=False)
class PeakSequences:
    """n sequences in one uint8 array (0..3 = A, C, G, T, 4 = N), one N after each; ``first``: int64 (n + 1,)."""

    bases: npt.NDArray[np.uint8]
    first: npt.NDArray[np.int64]

    def composition(self) -> npt.NDArray[np.int64]:
        """Return the number of A, C, G, T in each sequence, int64 (n, 4)."""
        counts = np.zeros((len(self.first) - 1, 4), dtype=np.int64)
        for base in range(4):
            running = np.concatenate([[0], np.cumsum(self.bases == base)])
            counts[:, base] = np.diff(running[self.first])
        return counts


def read_sequences(table: pd.DataFrame | None, fasta: str | Path, *, genome: str | None) -> PeakSequences:
    """Return the sequences of intervals (columns chrom, start, end).

    Raises
    ------
    InputError
        The features have no coordinates (``table`` is None).
    AssemblyError
        The FASTA is of another assembly or naming: by its chromosomes' lengths where ``genome`` is known,
        by features past a chromosome's end, or because it has none of their chromosomes.
    """
    if table is None:
        raise InputError(
            "The features have no coordinates, so they have no sequence. Motifs need peaks: names such as "
            "'chr1:100-600', or columns chrom, start, end in var."
        )
    sequence = Genome(fasta, genome=genome)
    chrom = to_ucsc(table["chrom"])
    start, end = table["start"].to_numpy(dtype=np.int64), table["end"].to_numpy(dtype=np.int64)
    length = np.array([sequence.lengths.get(name, -1) for name in chrom], dtype=np.int64)
    _check(sequence, table, chrom, length)
    width = np.maximum(end - start, 0)
    if np.median(width) > _TOO_WIDE_BP:
        warnings.warn(
            f"The features are {np.median(width):,.0f} bp wide (median): almost every motif has a site in such a "
            "bin. Motifs want peaks (about 500 bp); take a matrix of peaks.",
            AnnatacWarning,
            stacklevel=3,
        )
    first = np.concatenate([[0], np.cumsum(width + 1)])
    bases = np.full(int(first[-1]), UNKNOWN_BASE, dtype=np.uint8)
    for i in np.flatnonzero(length >= 0).tolist():
        bases[first[i] : first[i] + width[i]] = sequence.codes(chrom[i], int(start[i]), int(end[i]))
    return PeakSequences(bases=bases, first=first)


def _check(
    sequence: Genome, table: pd.DataFrame, chrom: npt.NDArray[np.object_], length: npt.NDArray[np.int64]
) -> None:
    absent = length < 0
    if absent.all():
        shown = ", ".join(repr(name) for name in list(sequence.lengths)[:3])
        raise AssemblyError(
            f"None of the {len(table):,} features lies on a sequence of {sequence.path}: they are on "
            f"'{chrom[0]}', its sequences are called {shown}. Give the FASTA of the features' assembly, with "
            "chromosomes called 'chr1' or '1'."
        )
    past = ~absent & (table["end"].to_numpy() > length)
    if past.any():
        i = int(np.flatnonzero(past)[0])
        raise AssemblyError(
            f"{int(past.sum()):,} of {len(table):,} features lie past the end of their chromosome in "
            f"{sequence.path}, first {chrom[i]}:{table['start'].iloc[i]}-{table['end'].iloc[i]}, where "
            f"{chrom[i]} has {length[i]:,} bp. Give the FASTA of the features' assembly."
        )
    if absent.any():
        names = ", ".join(sorted(set(map(str, chrom[absent])))[:5])
        warnings.warn(
            f"{int(absent.sum()):,} of {len(table):,} features lie on sequences that {sequence.path} lacks "
            f"({names}); they count as sequence without a motif.",
            AnnatacWarning,
            stacklevel=4,
        )
