"""What sequence Tn5 prefers: insertions by the k-mer around them, and what that predicts around sites."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.errors import AnnatacWarning, InputError
from annatac.genome.chroms import to_ucsc
from annatac.genome.fasta import Genome, kmer_codes
from annatac.genome.regions import merged
from annatac.tl.fragments.sites import Sites

Ints = npt.NDArray[np.int64]
_TILE_BP = 200
_MAX_BP = 10_000_000
_N_ROUNDS = 10
_PSEUDO = 1.0  # insertions added to what was seen and to what was expected
_CHUNK = 2_000  # sites


class KmerBias:
    """Learns how much more often than by chance Tn5 cuts at each k-mer.

    Within a tile of 200 bp the chance of an insertion at x is taken as b(k-mer at x), divided by the sum of b
    over the tile. The tile's own openness thus drops out, so that GC-rich k-mers do not look preferred only
    because open regions are rich in GC. b is fitted by iterating b = seen / expected.

    The k-mer of position x spans ``[x - k // 2, x - k // 2 + k)``.

    Parameters
    ----------
    background
        Intervals (chrom, start, end) to learn from; a random 10 Mb of them where they are longer.
    avoid
        Sites whose middle ``avoid_bp`` is left out, since a bound factor shields its own k-mers.
    """

    def __init__(
        self,
        genome: Genome,
        background: pd.DataFrame,
        *,
        k: int,
        avoid: Sites,
        avoid_bp: int,
        seed: int = 0,
    ):
        self.k = k
        intervals = merged(background)
        intervals = intervals[[chrom in genome for chrom in intervals["chrom"]]]
        if intervals.empty:
            raise InputError(
                f"None of the {len(background):,} background intervals lies on a sequence of {genome.path}. "
                f"They are on {', '.join(map(str, to_ucsc(background['chrom'])[:2]))}; the FASTA has "
                f"{', '.join(list(genome.lengths)[:3])}."
            )
        self.regions = _sampled(intervals, seed)
        self._start: dict[str, Ints] = {}
        self._end: dict[str, Ints] = {}
        self._offset: dict[str, Ints] = {}
        codes, tiles, n_bp, n_tiles = [], [], 0, 0
        for chrom, rows in self.regions.groupby("chrom", sort=False):
            start, end = rows["start"].to_numpy(), rows["end"].to_numpy()
            self._start[str(chrom)], self._end[str(chrom)] = start, end
            self._offset[str(chrom)] = n_bp + np.cumsum(end - start) - (end - start)
            for a, b in zip(start, end, strict=True):
                codes.append(kmer_codes(genome.codes(str(chrom), a - k // 2, b - k // 2 + k - 1), k))
                tile = np.arange(b - a) // _TILE_BP
                tiles.append((tile + n_tiles).astype(np.int32))
                n_tiles += int(tile[-1]) + 1
            n_bp += int((end - start).sum())
        self._code = np.concatenate(codes)
        self._tile = np.concatenate(tiles)
        self._seen = np.zeros(n_bp, dtype=np.int32)
        self._shield(avoid, avoid_bp)

    def add(self, chrom: str, position: Ints) -> None:
        """Count insertions at ``position``."""
        if chrom not in self._start:
            return
        row = np.searchsorted(self._start[chrom], position, side="right") - 1
        inside = row >= 0
        inside[inside] = position[inside] < self._end[chrom][row[inside]]
        row, position = row[inside], position[inside]
        np.add.at(self._seen, self._offset[chrom][row] + position - self._start[chrom][row], 1)

    def fit(self) -> npt.NDArray[np.float64]:
        """Return b, float64 of 4**k, 1 on average over the insertions expected by chance.

        Warns
        -----
        AnnatacWarning
            Fewer than 10 insertions a k-mer.
        """
        usable = self._code >= 0
        code, tile, seen = self._code[usable], self._tile[usable], self._seen[usable]
        n = int(seen.sum())
        if n < 10 * 4**self.k:
            warnings.warn(
                f"The bias of Tn5 rests on {n:,} insertions for {4**self.k:,} {self.k}-mers: it is noisy. "
                "Lower kmer, or give more background intervals.",
                AnnatacWarning,
                stacklevel=3,
            )
        n_kmers = 4**self.k
        by_kmer = np.bincount(code, weights=seen, minlength=n_kmers)
        by_tile = np.bincount(tile, weights=seen)
        bias = np.ones(n_kmers)
        for _ in range(_N_ROUNDS):
            total = np.bincount(tile, weights=bias[code], minlength=len(by_tile))
            rate = by_tile / np.maximum(total, 1e-12)
            expected = np.bincount(code, weights=rate[tile], minlength=n_kmers)
            bias = (by_kmer + _PSEUDO) / (expected + _PSEUDO)
        weight = np.bincount(code, minlength=n_kmers)
        return bias / np.average(bias, weights=weight)

    def _shield(self, avoid: Sites, avoid_bp: int) -> None:
        around = np.arange(-(avoid_bp // 2), avoid_bp // 2 + 1)
        for chrom, rows in avoid.bounds.items():
            if chrom not in self._start:
                continue
            centre = avoid.centre[rows]
            row = np.searchsorted(self._start[chrom], centre + avoid_bp, side="right") - 1
            near = (row >= 0) & (centre - avoid_bp < self._end[chrom][np.maximum(row, 0)])
            position = np.unique(centre[near][:, None] + around)
            row = np.searchsorted(self._start[chrom], position, side="right") - 1
            inside = (row >= 0) & (position < self._end[chrom][np.maximum(row, 0)])
            row, position = row[inside], position[inside]
            self._code[self._offset[chrom][row] + position - self._start[chrom][row]] = -1


def expected_insertions(
    genome: Genome,
    sites: Sites,
    by_site: npt.NDArray[np.int32],
    bias: npt.NDArray[np.float64],
    *,
    flank_bp: int,
) -> npt.NDArray[np.float64]:
    """Return the insertions that the bias alone would put around the sites.

    Each site's insertions (of each group) are spread over its window in proportion to the bias, so that a
    site counts by how open it is.

    Parameters
    ----------
    by_site
        Insertions in the window, int32 sites x groups.

    Returns
    -------
    float64, sets x groups x (2 * flank_bp + 1), each summing to the insertions seen.
    """
    k = round(np.log(len(bias)) / np.log(4))
    n_positions = 2 * flank_bp + 1
    expected = np.zeros((len(sites.names), by_site.shape[1], n_positions))
    padded = np.append(bias, 1.0)  # code -1: unknown sequence, no preference
    used = np.flatnonzero(by_site.any(axis=1))
    for first in range(0, len(used), _CHUNK):
        rows = used[first : first + _CHUNK]
        bases = np.stack(
            [
                genome.codes(chrom, c - flank_bp - k // 2, c + flank_bp - k // 2 + k)
                if chrom in genome
                else np.full(n_positions + k - 1, 4, dtype=np.uint8)
                for chrom, c in zip(sites.chrom[rows], sites.centre[rows], strict=True)
            ]
        )
        weight = padded[kmer_codes(bases, k)]
        weight[sites.minus[rows]] = weight[sites.minus[rows], ::-1]
        weight /= weight.sum(axis=1, keepdims=True)
        for number in np.unique(sites.set_of[rows]):
            mine = sites.set_of[rows] == number
            expected[number] += by_site[rows[mine]].T.astype(float) @ weight[mine]
    return expected


def _sampled(intervals: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return a random 10 Mb of the intervals, in their order; longer ones are cut up."""
    width = (intervals["end"] - intervals["start"]).to_numpy()
    if width.sum() <= _MAX_BP:
        return intervals.reset_index(drop=True)
    piece = 5_000
    n = -(-width // piece)
    row = np.repeat(np.arange(len(width)), n)
    step = np.arange(len(row)) - np.repeat(np.cumsum(n) - n, n)
    start = intervals["start"].to_numpy()[row] + step * piece
    end = np.minimum(start + piece, intervals["end"].to_numpy()[row])
    order = np.random.default_rng(seed).permutation(len(row))
    taken = np.sort(order[: np.searchsorted(np.cumsum((end - start)[order]), _MAX_BP) + 1])
    chrom = intervals["chrom"].to_numpy()[row[taken]]
    return pd.DataFrame({"chrom": chrom, "start": start[taken], "end": end[taken]})
