"""Coordinates: intervals, chromosome names, assemblies and genes."""

from __future__ import annotations

from annatac.genome.annotation import read_genes
from annatac.genome.assemblies import KNOWN, canonical, chrom_lengths, genome_label
from annatac.genome.bed import read_bed
from annatac.genome.check import AssemblyReport, check_assembly, profile_correlation
from annatac.genome.chroms import is_standard, to_ucsc
from annatac.genome.intervals import intervals_of, island_names, overlaps_any, parse_names

__all__ = [
    "KNOWN",
    "AssemblyReport",
    "canonical",
    "check_assembly",
    "chrom_lengths",
    "genome_label",
    "intervals_of",
    "is_standard",
    "island_names",
    "overlaps_any",
    "parse_names",
    "profile_correlation",
    "read_bed",
    "read_genes",
    "to_ucsc",
]
