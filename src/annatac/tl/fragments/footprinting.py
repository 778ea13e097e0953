"""Footprints of DNA-binding proteins from fragments."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from annatac import keys
from annatac.errors import AnnatacWarning, AssemblyError, ConfigError, InputError
from annatac.genome.assemblies import canonical
from annatac.genome.bed import read_bed
from annatac.genome.chroms import to_ucsc
from annatac.genome.fasta import Genome
from annatac.genome.intervals import intervals_of
from annatac.tl.fragments.cell_fragments import Fragments, cell_fragments
from annatac.tl.fragments.footprint_profiles import Footprints, zones
from annatac.tl.fragments.sites import SiteCounter, SiteInput, Sites, read_sites
from annatac.tl.fragments.tn5_bias import KmerBias, expected_insertions
from annatac.tl.groups import cell_groups

if TYPE_CHECKING:
    from anndata import AnnData

_WIDEST_MOTIF_BP = 50  # wider sites are peaks, of which only the middle is looked at
_DEFAULT_CORE_BP = 20


def footprints(
    adata: AnnData,
    fragments: Fragments,
    sites: SiteInput,
    *,
    groupby: str | None = None,
    types: list[str] | None = None,
    fasta: str | Path | None = None,
    genome: str | None = None,
    background: str | Path | pd.DataFrame | None = None,
    flank_bp: int = 250,
    flank_norm_bp: int = 50,
    core_bp: int | None = None,
    shoulder_bp: int = 50,
    kmer: int = 6,
    min_cells: int = 10,
    seed: int = 0,
) -> Footprints:
    """Return the Tn5 insertions around sites, by cell type, with what the bias of Tn5 alone would give.

    Each fragment is two insertions, at ``start`` and ``end - 1``. With a FASTA, the preference of Tn5 for
    the bases and the k-mer around a cut is learnt from all cells' insertions in ``background`` (see
    :class:`annatac.tl.fragments.tn5_bias.KmerBias`) and laid over the sites; both ways of correcting, ``subtract`` and
    ``divide``, are then to be had from the result.

    Parameters
    ----------
    adata
        Cells; only ``obs`` is used, and the features' coordinates where ``background`` is not given.
    fragments
        A fragment file (sorted; bgzipped with ``.tbi`` where only parts are to be read), or one for each
        sample, by the sample's name. Barcodes may differ from cell names by ``-1`` or a sample in front.
    sites
        BED file, table (chrom, start, end, strand, motif), or several by name.
    groupby
        Column of ``obs`` with the types; ``annatac_label`` where there is one, else all cells are one type.
    types
        Only these types.
    fasta
        Sequence of the assembly; without it profiles are not corrected (a warning says so).
    genome
        Assembly that the FASTA is held against (or a file of chromosome lengths), by default ``uns['genome']``.
    background
        Intervals (BED file or table) whose insertions teach the bias; the features of ``adata`` otherwise, or
        the whole chromosomes of the sites where features have no coordinates.
    flank_bp
        Distance in bp from the middle of the site to either end of the window.
    flank_norm_bp
        Outermost bp on either side whose mean becomes 1.
    core_bp
        Width of the footprint's middle; the sites' width where that is at most 50 bp, else 20.
    shoulder_bp
        Width on either side of the core to which the core is compared.
    kmer
        Length of the k-mers, 2 to 8; the published choice is 6.
    min_cells
        Types of fewer cells are left out.
    seed
        Of the choice of 10 Mb of background, where there is more.

    Notes
    -----
    Departures from ArchR: single bases within 10 bp have a factor beside the k-mer; the bias is learnt from all
    types together, since the enzyme is the same, which keeps it steady for small types; expected insertions weigh
    each site by how open it is in the type; and openness is divided out before sequences are compared.

    Raises
    ------
    ConfigError
        A width or k out of range.
    InputError
        No barcode matches a cell; no insertion lies near a site; a file that cannot be used.
    LabelError
        No such column or type.
    AssemblyError
        The FASTA is of another assembly, or sites or background lie past the end of a chromosome.
    MissingDependencyError
        pyfaidx is needed for a FASTA.
    """
    _check_widths(flank_bp, flank_norm_bp, core_bp, shoulder_bp, kmer)
    groups = cell_groups(adata, groupby, min_cells=min_cells, types=types)
    placed = read_sites(sites)
    cores = np.where(placed.width_bp <= _WIDEST_MOTIF_BP, placed.width_bp, _DEFAULT_CORE_BP)
    if core_bp is not None:
        cores = np.full_like(cores, core_bp)
    regions = placed.regions(flank_bp)
    sequence, bias = None, None
    if fasta is None:
        warnings.warn(
            "Without a FASTA the footprints are not corrected for the bias of Tn5: a dip or a peak in the "
            "middle may be sequence alone. Pass the FASTA of the assembly to correct it.",
            AnnatacWarning,
            stacklevel=2,
        )
    else:
        stated = adata.uns.get(keys.GENOME) if genome is None else canonical(genome)
        sequence = Genome(fasta, genome=None if stated is None else str(stated))
        _check_sites(placed, sequence)
        learnt_from = _background(adata, background, placed, sequence)
        bias = KmerBias(
            sequence, learnt_from, k=kmer, avoid=placed, avoid_bp=int(cores.max()) + 2 * kmer, seed=seed
        )
        regions = pd.concat([regions, bias.regions], ignore_index=True)

    counter = SiteCounter(placed, len(groups.names), flank_bp, by_site=sequence is not None)
    for part in cell_fragments(adata, fragments, regions=regions):
        group = groups.code[part.cell]
        for position in (part.start, part.end - 1):
            if bias is not None:
                bias.add(part.chrom, position)
            used = group >= 0
            counter.add(part.chrom, position[used], group[used])
    if not counter.counts.any():
        raise InputError(
            f"No insertion of the cells lies within {flank_bp} bp of any of the {len(placed):,} sites, which "
            f"are on {', '.join(list(placed.bounds)[:3])}. Check the assembly of both."
        )
    position = np.arange(-flank_bp, flank_bp + 1)
    expected, variance = None, None
    if sequence is not None and bias is not None and counter.by_site is not None:
        expected, variance = expected_insertions(
            sequence,
            placed,
            counter.by_site,
            bias.fit(),
            flank_bp=flank_bp,
            zones=[zones(position, int(width), shoulder_bp) for width in cores],
        )
    return Footprints(
        motifs=placed.names,
        types=groups.names,
        position=position,
        insertions=counter.counts,
        expected=expected,
        bias_variance=variance,
        n_sites=placed.n_sites,
        n_cells=groups.n_cells,
        core_bp=cores,
        shoulder_bp=shoulder_bp,
        flank_norm_bp=flank_norm_bp,
        type_order=groups.order,
    )


def _check_widths(
    flank_bp: int, flank_norm_bp: int, core_bp: int | None, shoulder_bp: int, kmer: int
) -> None:
    if not 2 <= kmer <= 8:
        raise ConfigError(f"kmer is {kmer}; 2 to 8 is expected.")
    core = _WIDEST_MOTIF_BP if core_bp is None else core_bp
    if min(flank_norm_bp, shoulder_bp, core) < 1:
        raise ConfigError("flank_norm_bp, shoulder_bp and core_bp are widths in bp; at least 1 is expected.")
    needed = core // 2 + shoulder_bp + flank_norm_bp
    if flank_bp < needed:
        raise ConfigError(
            f"flank_bp is {flank_bp}; half the core, the shoulder and the outer flank together need {needed}. "
            "Widen flank_bp or narrow the others."
        )


def _check_sites(sites: Sites, genome: Genome) -> None:
    known = [chrom for chrom in sites.bounds if chrom in genome]
    if not known:
        raise InputError(
            f"None of the sites' chromosomes ({', '.join(list(sites.bounds)[:3])}) is in {genome.path}, which "
            f"has {', '.join(list(genome.lengths)[:3])}. Give a FASTA of the same assembly."
        )
    for chrom in known:
        last = int(sites.centre[sites.bounds[chrom]].max())
        if last >= genome.lengths[chrom]:
            raise AssemblyError(
                f"A site lies at {chrom}:{last:,}, past the end of the chromosome in {genome.path} "
                f"({genome.lengths[chrom]:,} bp): sites and FASTA are of different assemblies."
            )


def _within(intervals: pd.DataFrame, genome: Genome, what: str) -> pd.DataFrame:
    """Return the intervals as they are, refused where some lie past the end of their chromosome."""
    length = np.array(
        [genome.lengths.get(chrom, -1) for chrom in to_ucsc(intervals["chrom"])], dtype=np.int64
    )
    past = (length >= 0) & (intervals["end"].to_numpy() > length)
    if past.any():
        first = intervals.iloc[int(np.flatnonzero(past)[0])]
        raise AssemblyError(
            f"{int(past.sum()):,} of {len(intervals):,} {what} lie past the end of their chromosome in {genome.path}, "
            f"first {first['chrom']}:{first['start']}-{first['end']}. Give the FASTA of their assembly."
        )
    return intervals


def _background(
    adata: AnnData, background: str | Path | pd.DataFrame | None, sites: Sites, genome: Genome
) -> pd.DataFrame:
    if background is not None:
        given = background if isinstance(background, pd.DataFrame) else read_bed(background)
        return _within(given, genome, "intervals of the background")
    features = intervals_of(adata.var) if adata.n_vars else None
    if features is not None:
        return _within(features[features["start"] >= 0], genome, "features")
    chroms = [chrom for chrom in sites.bounds if chrom in genome]
    return pd.DataFrame({"chrom": chroms, "start": 0, "end": [genome.lengths[chrom] for chrom in chroms]})
