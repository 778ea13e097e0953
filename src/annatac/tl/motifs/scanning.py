"""Sites of motifs in the sequences of peaks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError, InputError
from annatac.genome.assemblies import canonical, is_known
from annatac.genome.chroms import to_ucsc
from annatac.genome.intervals import intervals_of
from annatac.io.motif_files import JASPAR, Motif, read_motifs
from annatac.tl.motifs.peak_sequences import PeakSequences, read_sequences
from annatac.tl.motifs.scores import (
    PSEUDOCOUNT,
    RARE,
    STEPS_PER_BIT,
    ScoreTable,
    score_table,
    strand_symmetric,
)
from annatac.tl.motifs.search import Hits, Searcher

if TYPE_CHECKING:
    from anndata import AnnData

Background = str | Sequence[float]
_CHUNK_BP = 1_000_000


def motif_scan(
    adata: AnnData,
    motifs: str | Path | Sequence[Motif] = JASPAR,
    fasta: str | Path | None = None,
    *,
    names: Sequence[str] | None = None,
    genome: str | None = None,
    p_value: float = 5e-5,
    background: Background = "peaks",
    copy: bool = False,
) -> AnnData | None:
    """Write how many sites each motif has in each peak, on both strands, by exact p-value.

    Parameters
    ----------
    adata
        Cells x peaks, whose ``var`` has coordinates.
    motifs
        A JASPAR release, a MEME or JASPAR file, or what ``annatac.io.read_motifs`` returned.
    fasta
        Sequence of the assembly.
    names
        Only the motifs of these names or ids.
    genome
        Assembly that the FASTA is held against (or a file of chromosome lengths), by default ``uns['genome']``.
    p_value
        A site is a position with at most this chance under the background, each strand by itself. Motifs too
        short for it (7 bp have 4^-7 = 6e-5 at best: GATA1, TCF7) get their best sites, and a warning says so.
    background
        Frequencies of A, C, G, T: those of the ``'peaks'``, ``'even'``, or four numbers; made the same on
        both strands.
    copy
        Return a changed copy instead of writing into ``adata``.

    Returns
    -------
    None, or the copy. Written: ``varm['annatac_motif_hits']`` (CSR uint16, peaks x motifs, number of
    sites; a position found on both strands counts once), ``var['annatac_gc']`` (float32, NaN without
    sequence), ``uns['annatac_motifs']``.

    Raises
    ------
    InputError
        No FASTA, or peaks without coordinates.
    AssemblyError
        The FASTA is of another assembly or naming.
    ConfigError
        An unknown motif or release (the nearest is offered), or a p-value or background out of range.
    """
    chosen, sequences, q = _prepare(
        intervals_of(adata.var), motifs, fasta, names, _stated(adata, genome), background
    )
    _check_p_value(p_value)
    adata = adata.copy() if copy else adata
    searcher = Searcher(_score_tables(chosen, q, p_value), p_value)
    peaks, columns = [], []
    for peak, hits in _search(searcher, sequences):
        site = np.unique(
            hits.motif.astype(np.int64) * len(sequences.bases) + hits.position, return_index=True
        )[1]
        peaks.append(peak[site])
        columns.append(hits.motif[site])
    n = len(sequences.first) - 1
    rows = np.concatenate([np.empty(0, np.int64), *peaks])
    cols = np.concatenate([np.empty(0, np.int64), *columns])
    # a million peaks x sites fits: duplicates are added up
    counts = sp.coo_matrix((np.ones(len(rows), np.uint16), (rows, cols)), shape=(n, len(chosen))).tocsr()
    composition = sequences.composition()
    with np.errstate(invalid="ignore"):
        gc = composition[:, 1:3].sum(axis=1) / composition.sum(axis=1)
    adata.varm[keys.MOTIF_HITS] = counts
    adata.var[keys.GC] = gc.astype(np.float32)
    adata.uns[keys.MOTIFS] = {
        "ids": np.array([motif.id for motif in chosen], dtype=object),
        "names": np.array([motif.name for motif in chosen], dtype=object),
        "widths": np.array([motif.width for motif in chosen]),
        "counts": np.concatenate([motif.counts for motif in chosen]),
        "p_value": p_value,
        "background": q,
        "pseudocount": PSEUDOCOUNT,
    }
    return adata if copy else None


def motif_sites(
    peaks: AnnData | pd.DataFrame,
    motifs: str | Path | Sequence[Motif] = JASPAR,
    fasta: str | Path | None = None,
    *,
    names: Sequence[str] | None = None,
    genome: str | None = None,
    p_value: float = 5e-5,
    background: Background = "peaks",
) -> pd.DataFrame:
    """Return every site of the motifs in the peaks: the sites that footprints are taken around.

    Parameters are those of :func:`motif_scan`; ``peaks`` may be a table with chrom, start and end.

    Returns
    -------
    DataFrame, a row a site in the order of the peaks: chrom (UCSC style), start, end (int64, 0-based,
    half-open), name (``CTCF``), score (bits), strand, motif (id), p_value, peak (row of ``peaks``). The
    first six columns are those of BED. Peaks that overlap give a site twice.
    """
    is_table = isinstance(peaks, pd.DataFrame)
    table = peaks if is_table else intervals_of(peaks.var)
    stated = genome if is_table else _stated(peaks, genome)
    chosen, sequences, q = _prepare(table, motifs, fasta, names, stated, background)
    _check_p_value(p_value)
    assert table is not None
    tables = _score_tables(chosen, q, p_value)
    parts = [
        _site_rows(peak, hits, table, sequences, chosen, tables)
        for peak, hits in _search(Searcher(tables, p_value), sequences)
    ]
    if not parts:
        return pd.DataFrame(columns=_COLUMNS)
    return pd.concat(parts).sort_values(["peak", "start", "motif"], kind="stable", ignore_index=True)


def motifs_of(adata: AnnData) -> list[Motif]:
    """Return the motifs that the peaks were scanned for.

    Raises
    ------
    InputError
        They were not scanned yet.
    """
    if keys.MOTIFS not in adata.uns or keys.MOTIF_HITS not in adata.varm:
        raise InputError("The peaks have not been scanned for motifs. Call annatac.tl.motif_scan first.")
    stored = adata.uns[keys.MOTIFS]
    ends = np.cumsum(stored["widths"])
    return [
        Motif(id=str(i), name=str(name), counts=np.asarray(stored["counts"])[end - width : end])
        for i, name, width, end in zip(stored["ids"], stored["names"], stored["widths"], ends, strict=True)
    ]


_COLUMNS = ["chrom", "start", "end", "name", "score", "strand", "motif", "p_value", "peak"]


def _site_rows(
    peak: npt.NDArray[np.int64],
    hits: Hits,
    table: pd.DataFrame,
    sequences: PeakSequences,
    motifs: list[Motif],
    tables: list[ScoreTable],
) -> pd.DataFrame:
    width = np.array([motif.width for motif in motifs])[hits.motif]
    start = table["start"].to_numpy(dtype=np.int64)[peak] + hits.position - sequences.first[peak]
    p_value = np.empty(len(peak))
    for number in np.unique(hits.motif).tolist():
        mine = hits.motif == number
        p_value[mine] = tables[number].p_value(hits.score[mine])
    return pd.DataFrame(
        {
            "chrom": to_ucsc(table["chrom"])[peak],
            "start": start,
            "end": start + width,
            "name": np.array([motif.name for motif in motifs], dtype=object)[hits.motif],
            "score": hits.score / STEPS_PER_BIT,
            "strand": np.where(hits.strand > 0, "+", "-"),
            "motif": np.array([motif.id for motif in motifs], dtype=object)[hits.motif],
            "p_value": p_value,
            "peak": peak,
        }
    )


def _search(searcher: Searcher, sequences: PeakSequences) -> Iterator[tuple[npt.NDArray[np.int64], Hits]]:
    """Yield the peak of each hit and the hits, a million bases at a time."""
    first = sequences.first
    low = 0
    while low < len(first) - 1:
        high = max(int(np.searchsorted(first, first[low] + _CHUNK_BP, side="right")) - 1, low + 1)
        parts = list(searcher.search(sequences.bases[first[low] : first[high]]))
        if parts:
            hits = Hits(
                motif=np.concatenate([part.motif for part in parts]),
                position=np.concatenate([part.position for part in parts]) + first[low],
                strand=np.concatenate([part.strand for part in parts]),
                score=np.concatenate([part.score for part in parts]),
            )
            yield np.searchsorted(first, hits.position, side="right") - 1, hits
        low = high


def _prepare(
    table: pd.DataFrame | None,
    motifs: Any,
    fasta: str | Path | None,
    names: Sequence[str] | None,
    genome: str | None,
    background: Background,
) -> tuple[list[Motif], PeakSequences, npt.NDArray[np.float64]]:
    if fasta is None:
        raise InputError("Motifs need the sequence of the assembly: give its FASTA (fasta=).")
    if isinstance(motifs, str | Path):
        chosen = read_motifs(motifs, names=names)
    else:
        from annatac.io.motif_files import choose_motifs

        chosen = list(motifs) if names is None else choose_motifs(motifs, names)
    if not chosen:
        raise ConfigError("No motif is given.")
    sequences = read_sequences(table, fasta, genome=genome)
    if isinstance(background, str):
        if background not in ("peaks", "even"):
            raise ConfigError(
                f"background='{background}' is unknown; expected 'peaks', 'even' or 4 frequencies."
            )
        even = background == "even"
        frequencies = np.ones(4) if even else sequences.composition().sum(axis=0).astype(np.float64) + 1
    else:
        frequencies = np.asarray(background, dtype=np.float64)
        if frequencies.shape != (4,) or not (frequencies > 0).all():
            raise ConfigError(f"background is {background}; expected 4 positive frequencies: A, C, G, T.")
    return chosen, sequences, strand_symmetric(frequencies)


def _score_tables(motifs: list[Motif], q: npt.NDArray[np.float64], p_value: float) -> list[ScoreTable]:
    """Return the scores; a warning names motifs whose best site is more likely than ``p_value``."""
    tables = [score_table(motif, q) for motif in motifs]
    short = [m for m, table in zip(motifs, tables, strict=True) if p_value < table.best_p_value <= RARE]
    none = [m for m, table in zip(motifs, tables, strict=True) if table.best_p_value > max(p_value, RARE)]
    for found, what in ((short, "their best sites are taken"), (none, "they get no site")):
        if found:
            shown = ", ".join(motif.name for motif in found[:5]) + (", ..." if len(found) > 5 else "")
            warnings.warn(
                f"{len(found)} of {len(motifs)} motifs are too short or vague for a site of p <= {p_value:g} "
                f"({shown}): {what}.",
                AnnatacWarning,
                stacklevel=3,
            )
    return tables


def _check_p_value(p_value: float) -> None:
    if not 0 < p_value <= 0.01:
        raise ConfigError(f"p_value is {p_value}; expected more than 0, at most 0.01 (5e-5 is usual).")


def _stated(adata: AnnData, genome: str | None) -> str | None:
    if genome is not None:
        return canonical(genome)
    stated = adata.uns.get(keys.GENOME)
    return stated if isinstance(stated, str) and is_known(stated) else None
