"""Promoter, exon, intron or distal: where intervals lie with respect to genes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.errors import ConfigError, InputError
from annatac.genome.annotation import as_genes
from annatac.genome.intervals import open_text, overlaps_any

WITH_EXONS = ("promoter", "exon", "intron", "distal")
WITHOUT_EXONS = ("promoter", "gene body", "distal")


class GeneModel(NamedTuple):
    """``genes``: chrom, start, end, tss, strand; ``exons``: chrom, start, end, or None where none are known."""

    genes: pd.DataFrame
    exons: pd.DataFrame | None

    @property
    def elements(self) -> tuple[str, ...]:
        """The classes that these genes can tell apart, in the order of precedence."""
        return WITHOUT_EXONS if self.exons is None else WITH_EXONS


def gene_model(genes: str | Path | pd.DataFrame) -> GeneModel:
    """Return genes and, where the file is GTF or GFF3 with exon lines, exons.

    Raises
    ------
    InputError
        No gene, or a table without start and end.
    """
    table = as_genes(genes)
    if not {"start", "end"} <= set(table.columns):
        raise InputError(
            f"The table of genes has the columns {', '.join(map(str, table.columns))}; start and end of the "
            "genes are needed too."
        )
    return GeneModel(table, None if isinstance(genes, pd.DataFrame) else _exons(Path(genes)))


def _exons(path: Path) -> pd.DataFrame | None:
    chrom: list[str] = []
    start: list[int] = []
    end: list[int] = []
    with open_text(path) as lines:
        for line in lines:
            if "\texon\t" not in line or line.startswith("#"):
                continue
            fields = line.split("\t", 5)
            if fields[2] == "exon":
                chrom.append(fields[0])
                start.append(int(fields[3]) - 1)  # GTF counts from 1 and includes the end
                end.append(int(fields[4]))
    if not chrom:
        return None
    return pd.DataFrame({"chrom": chrom, "start": start, "end": end}).drop_duplicates(ignore_index=True)


def element_of(
    intervals: pd.DataFrame, model: GeneModel, *, upstream_bp: int = 2000, downstream_bp: int = 100
) -> npt.NDArray[np.int8]:
    """Return the class of each interval, a number into ``model.elements``; the first that applies.

    A promoter overlaps ``upstream_bp`` before to ``downstream_bp`` after a start site, an exon an exon, an intron
    (or gene body, where exons are not known) a gene; anything else is distal. Precedence and
    distances are ArchR's.

    Raises
    ------
    ConfigError
        A distance is negative.
    """
    if upstream_bp < 0 or downstream_bp < 0:
        raise ConfigError(
            f"The promoter reaches from {upstream_bp} bp before to {downstream_bp} bp after the start site; "
            "expected 0 or more."
        )
    genes = model.genes
    tss = genes["tss"].to_numpy()
    minus = genes["strand"].eq("-").to_numpy() if "strand" in genes else np.zeros(len(genes), dtype=bool)
    promoters = pd.DataFrame(
        {
            "chrom": genes["chrom"].to_numpy(),
            "start": np.maximum(np.where(minus, tss - downstream_bp, tss - upstream_bp), 0),
            "end": np.where(minus, tss + upstream_bp, tss + downstream_bp) + 1,
        }
    )
    layers = [promoters, genes] if model.exons is None else [promoters, model.exons, genes]
    result = np.full(len(intervals), len(layers), dtype=np.int8)
    for number in reversed(range(len(layers))):
        result[overlaps_any(intervals, layers[number])] = number
    return result
