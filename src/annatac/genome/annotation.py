"""Genes and their transcription start sites, from GTF, GFF3 or BED files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.errors import InputError
from annatac.genome.intervals import open_text

_TRANSCRIPTS = ("transcript", "mRNA", "lnc_RNA", "ncRNA", "primary_transcript")
_GENES = ("gene", "ncRNA_gene", "pseudogene")
_GTF_SYMBOL = re.compile(r'(?:^|[;\s])(gene_name|gene|gene_id|transcript_id) "([^"]*)"')
_GFF_SYMBOL = re.compile(r"(?:^|;)\s*(gene_name|Name|gene|gene_id|ID)=([^;]*)")
_PREFERENCE = ("gene_name", "gene", "Name", "gene_id", "transcript_id", "ID")

Row = tuple[str, int, int, str, str]


def read_genes(path: str | Path) -> pd.DataFrame:
    """Return the genes (transcripts, where the file has them) of a GTF, GFF3 or BED file, plain or gzipped.

    Of a GTF or GFF3 the transcripts are taken if there are any, else the genes: every start site counts. A
    BED file has chrom, start, end, name and strand, in BED6 order (score before strand) or without the score;
    genes without a strand are taken as ``+``.

    Returns
    -------
    DataFrame, one row a gene or transcript: chrom, start, end (0-based, half-open), symbol, strand ('+' or
    '-') and tss (int64, 0-based position of the first transcribed base: start on +, end - 1 on -).

    Raises
    ------
    MissingFileError, DamagedFileError
        The file does not exist, or is truncated.
    InputError
        No gene is found, or a line is damaged; file and line are named.
    """
    path = Path(path)
    genes: list[Row] = []
    transcripts: list[Row] = []
    with open_text(path) as lines:
        for number, line in enumerate(lines, start=1):
            if line.startswith("##FASTA"):
                break
            if line.startswith(("#", "track", "browser")) or not line.strip():
                continue
            fields = line.rstrip("\r\n").split("\t")
            try:
                if len(fields) >= 9 and not fields[1].isdigit():
                    _add_gtf_line(fields, genes, transcripts)
                else:
                    genes.append(_bed_row(fields))
            except (IndexError, ValueError) as error:
                if number == 1:
                    continue  # a header line
                raise InputError(
                    f"{path}, line {number}: {line.strip()[:80]!r} is no line of a GTF, GFF3 or BED "
                    f"file ({error})."
                ) from error
    rows = transcripts or genes
    if not rows:
        raise InputError(
            f"{path} holds no gene. Expected GTF or GFF3 with 'gene' or 'transcript' lines, or BED with "
            "chromosome, start, end, symbol and strand."
        )
    table = pd.DataFrame(rows, columns=["chrom", "start", "end", "symbol", "strand"])
    table = table.astype({"start": np.int64, "end": np.int64})
    table["tss"] = tss_of(table)
    return table


def tss_of(genes: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the 0-based position of each gene's first transcribed base from start, end and strand."""
    strand = genes["strand"].to_numpy(dtype=object) if "strand" in genes else np.full(len(genes), "+")
    minus = strand == "-"
    return np.where(minus, genes["end"].to_numpy() - 1, genes["start"].to_numpy()).astype(np.int64)


def as_genes(genes: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Return a table of genes with chrom, tss and symbol from a file's path or from a table.

    Raises
    ------
    InputError
        The table lacks chrom and symbol, or both tss and start with end. For a path see :func:`read_genes`.
    """
    if not isinstance(genes, pd.DataFrame):
        return read_genes(genes)
    missing = [column for column in ("chrom", "symbol") if column not in genes]
    if missing or not ("tss" in genes or {"start", "end"} <= set(genes.columns)):
        raise InputError(
            f"The table of genes has the columns {', '.join(map(str, genes.columns))}; expected chrom, "
            "symbol and tss (or start, end and strand)."
        )
    if genes.empty:
        raise InputError("The table of genes is empty.")
    return genes if "tss" in genes else genes.assign(tss=tss_of(genes))


def _bed_row(fields: list[str]) -> Row:
    start, end = int(fields[1]), int(fields[2])
    if start < 0 or end <= start:
        raise ValueError(f"start {start}, end {end}")
    strand = next((field for field in fields[4:6] if field in ("+", "-")), "+")
    return fields[0], start, end, fields[3], strand


def _add_gtf_line(fields: list[str], genes: list[Row], transcripts: list[Row]) -> None:
    kind = fields[2]
    if kind not in _GENES and kind not in _TRANSCRIPTS:
        return
    start, end = int(fields[3]) - 1, int(fields[4])  # GTF counts from 1 and includes the end
    if start < 0 or end <= start:
        raise ValueError(f"start {start + 1}, end {end}")
    row = (fields[0], start, end, _symbol(fields[8]), "-" if fields[6] == "-" else "+")
    (transcripts if kind in _TRANSCRIPTS else genes).append(row)


def _symbol(attributes: str) -> str:
    pattern: Any = _GTF_SYMBOL if '"' in attributes else _GFF_SYMBOL
    found = dict(pattern.findall(attributes))
    return next((found[key] for key in _PREFERENCE if found.get(key)), "")
