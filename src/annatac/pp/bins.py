"""A universe without cells: the bins of an assembly's chromosomes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from annatac import keys
from annatac.errors import ConfigError, InputError
from annatac.genome.annotation import as_genes
from annatac.genome.assemblies import chrom_lengths, genome_label
from annatac.genome.chroms import is_standard
from annatac.genome.intervals import island_names
from annatac.pp.layout import genes_of
from annatac.pp.universe import Universe


def all_islands(
    genome: str | Path,
    *,
    bin_size: int = 5000,
    islands: str = "all",
    genes: str | Path | pd.DataFrame | None = None,
) -> Universe:
    """Return all bins of the standard chromosomes of an assembly, or those with a start site of ``genes``.

    The mean openness is 0: no cell was looked at. hg38 has 617,665 bins of 5 kb.

    Parameters
    ----------
    genome
        Name of the assembly, or a file of chromosome lengths.
    islands, genes
        As in :func:`annatac.pp.peak_islands`.

    Raises
    ------
    ConfigError, InputError
        An unknown assembly, or ``islands='tss'`` without genes; no chromosome, or no gene on them.
    """
    if islands == "tss" and genes is None:
        raise ConfigError("islands='tss' needs genes: give the path of a GTF, GFF3 or BED file of genes.")
    lengths = chrom_lengths(genome)
    names = np.array(list(lengths), dtype=object)[is_standard(list(lengths))]
    if not len(names):
        raise InputError(f"{genome} has no standard chromosome: {', '.join(list(lengths)[:5])} were found.")
    n_bins = np.array([-(-lengths[name] // bin_size) for name in names])
    chrom = np.repeat(names, n_bins)
    start = np.concatenate([np.arange(n, dtype=np.int64) * bin_size for n in n_bins])
    universe = Universe(
        names=island_names(chrom, start, start + bin_size),
        chrom=chrom,
        start=start,
        end=start + bin_size,
        bin_size=bin_size,
        genome=genome_label(str(genome)),
        n_peaks=np.ones(len(start), dtype=np.int32),
        mean_openness=np.zeros(len(start), dtype=np.float32),
        genes=None if genes is None else _genes(chrom, start, genes, bin_size),
    )
    if islands != "tss":
        return universe
    assert universe.genes is not None
    chosen = universe.genes != ""
    if not chosen.any():
        raise InputError(
            f"No gene has its start site on a chromosome of {universe.genome}: are the genes those of this "
            "assembly?"
        )
    return universe.take(chosen)


def _genes(
    chrom: np.ndarray, start: np.ndarray, genes: str | Path | pd.DataFrame, bin_size: int
) -> np.ndarray:
    var = pd.DataFrame({keys.CHROM: chrom}, index=pd.Index(island_names(chrom, start, start + bin_size)))
    return genes_of(var, as_genes(genes), bin_size)
