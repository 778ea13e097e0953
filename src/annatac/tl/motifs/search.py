"""Where motifs match in many sequences at once: a table of 8-mers tells which motifs can still match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annatac.genome.fasta import UNKNOWN_BASE
from annatac.tl.motifs.scores import ScoreTable

_K = 8  # bases that the first look takes in
_PART = 4  # bases that one step of the full score takes in
_BLOCK = 400_000  # candidates scored at once: temporary arrays stay in cache

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Hits:
    """Matches: motif, position of the first base in the joined sequence, strand (+1 or -1), whole score."""

    motif: npt.NDArray[np.int32]
    position: Ints
    strand: npt.NDArray[np.int8]
    score: npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Group:
    """Motif strands of similar width: by 8-mer, which can match; and their scores by 4-mer.

    ``rows[first[code] : first[code + 1]]`` are those for which the 8-mer ``code``, at ``offset[row]`` in the
    motif, leaves a score that the other columns can lift to the threshold.
    """

    first: Ints
    rows: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    width: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.int32]
    parts: npt.NDArray[np.int32]  # (n_parts, n_rows * 256)
    motif: npt.NDArray[np.int32]
    strand: npt.NDArray[np.int8]


class Searcher:
    """Finds all sites, on both strands, that score at least their motif's threshold.

    Parameters
    ----------
    tables
        Scores of the motifs.
    p_value
        A site's p-value is at most this; the best sites of a motif too short for it are taken where they
        are rare (``ScoreTable.site_threshold``).
    """

    def __init__(self, tables: Sequence[ScoreTable], p_value: float):
        self.longest = max(len(table.scores) for table in tables)
        by_parts: dict[int, list[tuple[int, int, npt.NDArray[np.int64], int]]] = {}
        for number, table in enumerate(tables):
            threshold = table.site_threshold(p_value)
            if threshold > table.best:
                continue  # too little information for any site to reach the p-value
            n_parts = -(-max(len(table.scores), _K) // _PART)
            for strand, scores in ((1, table.scores), (-1, table.scores[::-1, ::-1])):
                by_parts.setdefault(n_parts, []).append((number, strand, scores, threshold))
        self._groups = [_group(n_parts, members) for n_parts, members in sorted(by_parts.items())]

    def search(self, bases: npt.NDArray[np.uint8]) -> Iterator[Hits]:
        """Yield the matches in a joined sequence, uint8 codes with 4 for N; none spans an N.

        Sequences are joined with at least one N between them.
        """
        n = len(bases)
        pad = np.full(n + 2 * (self.longest + _K), UNKNOWN_BASE, dtype=np.uint8)
        pad[:n] = bases
        unknown = np.concatenate([[0], np.cumsum(pad == UNKNOWN_BASE)])
        pad[pad == UNKNOWN_BASE] = 0  # sites with an N are taken out at the end
        part = _codes(pad, _PART).astype(np.int64)
        code = _codes(pad, _K).astype(np.int64)
        for group in self._groups:
            n_candidates = np.diff(group.first)[code[: n + self.longest]]
            ends = np.cumsum(n_candidates)
            total = int(ends[-1]) if len(ends) else 0
            cuts = np.searchsorted(ends, np.arange(_BLOCK, total + _BLOCK, _BLOCK), side="left") + 1
            low = 0
            for high in np.minimum(cuts, len(ends)).tolist():
                if high > low:
                    yield _score(group, code, part, unknown, n_candidates[low:high], low, n)
                low = max(low, high)


def _codes(bases: npt.NDArray[np.uint8], k: int) -> npt.NDArray[np.int32]:
    n = len(bases) - k + 1
    code = np.zeros(n, dtype=np.int32)
    for j in range(k):
        code *= 4
        code += bases[j : j + n]
    return code


def _score(
    group: _Group,
    code: Ints,
    part: Ints,
    unknown: Ints,
    n_candidates: Ints,
    low: int,
    n: int,
) -> Hits:
    at = np.repeat(np.arange(low, low + len(n_candidates)), n_candidates)
    before = np.repeat(np.cumsum(n_candidates) - n_candidates, n_candidates)
    row = group.rows[group.first[code[at]] + np.arange(len(at)) - before]
    position = at - group.offset[row]
    inside = (position >= 0) & (position + group.width[row] <= n)
    if not inside.all():
        row, position = row[inside], position[inside]
    base = row.astype(np.int64) * 256
    score = np.zeros(len(row), dtype=np.int32)
    for i, values in enumerate(group.parts):
        score += values[base + part[position + i * _PART]]
    good = score >= group.threshold[row]
    row, position, score = row[good], position[good], score[good]
    clean = unknown[position + group.width[row]] == unknown[position]
    row, position, score = row[clean], position[clean], score[clean]
    return Hits(motif=group.motif[row], position=position, strand=group.strand[row], score=score)


def _group(n_parts: int, members: list[tuple[int, int, npt.NDArray[np.int64], int]]) -> _Group:
    n_rows, length = len(members), n_parts * _PART
    parts = np.zeros((n_parts, n_rows, 256), dtype=np.int32)
    offset = np.zeros(n_rows, dtype=np.int64)
    passing: list[npt.NDArray[np.int64]] = []
    for row, (_, _, scores, threshold) in enumerate(members):
        full = np.zeros((length, 4), dtype=np.int64)
        full[: len(scores)] = scores
        for i in range(n_parts):
            parts[i, row] = _sums(full[i * _PART : (i + 1) * _PART])
        span = full.max(axis=1) - full.min(axis=1)
        offset[row] = int(np.argmax(np.convolve(span, np.ones(_K), "valid")))
        window = full[offset[row] : offset[row] + _K]
        rest = int(full.max(axis=1).sum() - window.max(axis=1).sum())
        passing.append(np.flatnonzero(_sums(window) + rest >= threshold))
    codes = np.concatenate(passing)
    order = np.argsort(codes, kind="stable")
    rows = np.repeat(np.arange(n_rows), [len(p) for p in passing])[order].astype(np.int32)
    first = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=4**_K))])
    return _Group(
        first=first,
        rows=rows,
        offset=offset,
        width=np.array([len(m[2]) for m in members], dtype=np.int64),
        threshold=np.array([m[3] for m in members], dtype=np.int32),
        parts=parts.reshape(n_parts, -1),
        motif=np.array([m[0] for m in members], dtype=np.int32),
        strand=np.array([m[1] for m in members], dtype=np.int8),
    )


def _sums(columns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the score of every word over the columns, in the order of its code."""
    total = np.zeros(1, dtype=np.int64)
    for column in columns:
        total = (total[:, None] + column[None, :]).ravel()
    return total
