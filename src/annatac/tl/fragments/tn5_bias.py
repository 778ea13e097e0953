"""What sequence Tn5 prefers: insertions by the bases around them, and what that predicts around sites."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.errors import AnnatacWarning, InputError
from annatac.genome.chroms import to_ucsc
from annatac.genome.fasta import N_BASES, UNKNOWN_BASE, Genome, kmer_codes
from annatac.genome.regions import merged
from annatac.tl.fragments.sites import Sites

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
REACH_BP = 10  # bases so far to either side of a cut have a say: the enzyme holds some 20 bp
_TILE_BP = 200
_MAX_BP = 10_000_000
_MAX_BASE_BP = 2_000_000  # enough for the 63 numbers of the single bases
_N_ROUNDS, _N_SWEEPS = 10, 3
_PSEUDO = 1.0  # the least insertions added to what was seen and to what was expected, of a k-mer
_BASE_PSEUDO = 25.0  # the same, of a base
_CHUNK = 2_000  # sites


@dataclass(frozen=True, kw_only=True)
class Preference:
    """How much more often than by chance Tn5 cuts at a position, from the bases around it.

    Attributes
    ----------
    by_base
        float64, (2 * REACH_BP + 1) x 5: factor of each base (A, C, G, T, unknown) at each distance from the cut.
    by_kmer
        float64, 4**k: what the k-mer at the cut adds to the product of its bases. The k-mer of position x spans
        ``[x - k // 2, x - k // 2 + k)``.
    kmer_variance
        float64, 4**k: variance of the natural logarithm of ``by_kmer``, by what was counted.
    """

    by_base: Floats
    by_kmer: Floats
    kmer_variance: Floats

    @property
    def k(self) -> int:
        """Length of the k-mers."""
        return round(np.log(len(self.by_kmer)) / np.log(N_BASES))

    def weigh(self, bases: npt.NDArray[np.uint8]) -> tuple[Floats, npt.NDArray[np.int32]]:
        """Return preference and number of the k-mer (-1: unknown sequence) at all but the outer REACH_BP positions.

        Parameters
        ----------
        bases
            uint8 codes as of :meth:`annatac.genome.fasta.Genome.codes`, along the last axis.
        """
        n, first = bases.shape[-1] - 2 * REACH_BP, REACH_BP - self.k // 2
        code = kmer_codes(bases[..., first : first + n + self.k - 1], self.k)
        weight = np.append(self.by_kmer, 1.0)[code]
        for j, factor in enumerate(self.by_base):
            weight *= factor[bases[..., j : j + n]]
        return weight, code


class KmerBias:
    """Learns how much more often than by chance Tn5 cuts, from the bases around and the k-mer at the cut.

    Within a tile of 200 bp the chance of an insertion at x is taken as b(x), divided by the sum of b over the tile.
    The tile's own openness thus drops out, so that GC-rich sequence does not look preferred only because open
    regions are rich in GC. b is the product of a factor for each base within ``REACH_BP`` of the cut, which reaches
    further than k-mers can, and of a factor for the k-mer at the cut, which holds what single bases cannot say.
    Both are fitted by iterating seen / expected. The k-mers' factors are drawn towards 1 by the spread that they
    show beyond the chance of counting: where few insertions were seen, they add no noise.

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
        bases, codes, tiles, n_bp, n_tiles = [], [], [], 0, 0
        for chrom, rows in self.regions.groupby("chrom", sort=False):
            start, end = rows["start"].to_numpy(), rows["end"].to_numpy()
            self._start[str(chrom)], self._end[str(chrom)] = start, end
            self._offset[str(chrom)] = n_bp + np.cumsum(end - start) - (end - start)
            for a, b in zip(start, end, strict=True):
                bases.append(genome.codes(str(chrom), a - REACH_BP, b + REACH_BP))
                first = REACH_BP - k // 2
                codes.append(kmer_codes(bases[-1][first : first + b - a + k - 1], k))
                tile = np.arange(b - a) // _TILE_BP
                tiles.append((tile + n_tiles).astype(np.int32))
                n_tiles += int(tile[-1]) + 1
            n_bp += int((end - start).sum())
        # position number i of the interval number j lies at i + REACH_BP * (2 * j + 1) of the bases
        width = np.array([len(code) for code in codes])
        self._at = np.arange(n_bp) + np.repeat(REACH_BP * (2 * np.arange(len(width)) + 1), width)
        self._bases = np.concatenate(bases)
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

    def fit(self) -> Preference:
        """Return what was learnt; ``by_kmer`` is 1 on average over the positions of the background.

        Warns
        -----
        AnnatacWarning
            Fewer than 10 insertions a k-mer.
        """
        usable = self._code >= 0
        code, tile, seen = self._code[usable], self._tile[usable], self._seen[usable]
        n_kmers = N_BASES**self.k
        if seen.sum() < 10 * n_kmers:
            warnings.warn(
                f"The bias of Tn5 rests on {int(seen.sum()):,} insertions for {n_kmers:,} {self.k}-mers: it is noisy. "
                "Lower kmer, or give more background intervals.",
                AnnatacWarning,
                stacklevel=3,
            )
        by_base = self._fit_bases(usable)
        around = np.ones(len(code))
        for j, factor in enumerate(by_base):
            around *= factor[self._bases[self._at[usable] + j - REACH_BP]]
        by_kmer = np.bincount(code, weights=seen, minlength=n_kmers)
        by_tile = np.bincount(tile, weights=seen)
        bias, prior = np.ones(n_kmers), 0.0
        for _ in range(_N_ROUNDS):
            expected = np.bincount(
                code, _rate(tile, by_tile, around * bias[code]) * around, minlength=n_kmers
            )
            prior = prior or _prior_insertions(by_kmer, expected)
            bias = (by_kmer + prior) / (expected + prior)
        bias /= np.average(bias, weights=np.bincount(code, minlength=n_kmers))
        return Preference(by_base=by_base, by_kmer=bias, kmer_variance=1 / (by_kmer + prior))

    def _fit_bases(self, usable: npt.NDArray[np.bool_]) -> Floats:
        """Return the factor of each base at each distance, from the fullest tiles where there are many.

        Tiles may be chosen by their insertions, since the model is of where within a tile these lie.
        """
        by_tile = np.bincount(self._tile[usable], weights=self._seen[usable])
        fullest = np.argsort(-by_tile, kind="stable")[: _MAX_BASE_BP // _TILE_BP]
        rows = np.flatnonzero(usable & np.isin(self._tile, fullest))
        at, tile, seen = self._at[rows], self._tile[rows], self._seen[rows]
        factors = np.ones((2 * REACH_BP + 1, N_BASES + 1))
        weight = np.ones(len(rows))
        for _ in range(_N_SWEEPS):
            for j, factor in enumerate(factors):
                base = self._bases[at + j - REACH_BP]
                others = weight / factor[base]
                expected = np.bincount(base, _rate(tile, by_tile, weight) * others, N_BASES + 1)
                factor[:] = (np.bincount(base, seen, N_BASES + 1) + _BASE_PSEUDO) / (expected + _BASE_PSEUDO)
                factor /= np.average(
                    factor[:UNKNOWN_BASE], weights=np.bincount(base, minlength=5)[:UNKNOWN_BASE]
                )
                factor[UNKNOWN_BASE] = 1
                weight = others * factor[base]
        return factors

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
    preference: Preference,
    *,
    flank_bp: int,
    zones: list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]],
) -> tuple[Floats, Floats]:
    """Return the insertions that the bias alone would put around the sites, and how unsure their contrast is.

    Each site's insertions (of each group) are spread over its window in proportion to the preference, so that a
    site counts by how open it is.

    Parameters
    ----------
    by_site
        Insertions in the window, int32 sites x groups.
    zones
        For each set, which positions are core and which shoulder, bool of 2 * flank_bp + 1.

    Returns
    -------
    float64, sets x groups x (2 * flank_bp + 1), each summing to the insertions seen; and float64, sets: the variance
    that the counting of k-mers leaves in the natural logarithm of core over shoulder, all groups together.
    """
    n_positions = 2 * flank_bp + 1
    expected = np.zeros((len(sites.names), by_site.shape[1], n_positions))
    by_kmer = np.zeros((len(sites.names), 2, len(preference.by_kmer)))  # expected ones in core and shoulder
    used = np.flatnonzero(by_site.any(axis=1))
    for first in range(0, len(used), _CHUNK):
        rows = used[first : first + _CHUNK]
        bases = np.stack(
            [
                genome.codes(chrom, c - flank_bp - REACH_BP, c + flank_bp + REACH_BP + 1)
                if chrom in genome
                else np.full(n_positions + 2 * REACH_BP, UNKNOWN_BASE, dtype=np.uint8)
                for chrom, c in zip(sites.chrom[rows], sites.centre[rows], strict=True)
            ]
        )
        weight, code = preference.weigh(bases)
        weight /= weight.sum(axis=1, keepdims=True)
        minus = sites.minus[rows]
        weight[minus], code[minus] = weight[minus, ::-1], code[minus, ::-1]
        for number in np.unique(sites.set_of[rows]):
            mine = sites.set_of[rows] == number
            by_group = by_site[rows[mine]].astype(float)
            expected[number] += by_group.T @ weight[mine]
            placed = by_group.sum(axis=1)[:, None] * weight[mine]
            for there, zone in zip(by_kmer[number], zones[number], strict=True):
                kmer = code[mine][:, zone]
                known = kmer >= 0
                there += np.bincount(kmer[known], placed[:, zone][known], len(there))
    share = by_kmer / np.maximum(by_kmer.sum(axis=2, keepdims=True), 1e-12)
    return expected, (share[:, 0] - share[:, 1]) ** 2 @ preference.kmer_variance


def _rate(tile: npt.NDArray[np.int32], by_tile: npt.NDArray[Any], weight: Floats) -> Floats:
    """Return the insertions a unit of weight in the tile of each position."""
    total = np.bincount(tile, weights=weight, minlength=len(by_tile))
    rate: Floats = (by_tile / np.maximum(total, 1e-12))[tile]
    return rate


def _prior_insertions(seen: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Return how many insertions the expectation is worth: the fewer, the further factors differ beyond chance.

    Factors of mean 1 and variance v, and Poisson counts, give a posterior mean of (seen + 1 / v) / (expected + 1 / v).
    """
    spread = ((seen - expected) ** 2 - seen).sum() / max((expected**2).sum(), 1e-12)
    return max(_PSEUDO, 1 / max(float(spread), 1e-6))


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
