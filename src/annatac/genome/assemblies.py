"""Genome assemblies: their names and the lengths of their chromosomes."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from annatac.errors import ConfigError, InputError, MissingFileError, nearest
from annatac.genome.chroms import to_ucsc
from annatac.genome.intervals import open_text

# Lengths ship for these (UCSC chrom.sizes; nuclear chromosomes and chrM).
KNOWN: tuple[str, ...] = ("hg19", "hg38", "mm9", "mm10", "mm39", "rn6", "rn7")

_SPECIES = {"hg": "human", "mm": "mouse", "rn": "rat"}

_SPELLINGS = {
    "hg19": r"hg19|grch37|hs37d5|b37|hg37",
    "hg38": r"hg38|grch38",
    "mm9": r"mm9|ncbim37|mgscv37",
    "mm10": r"mm10|grcm38",
    "mm39": r"mm39|grcm39",
    "rn6": r"rn6|rnor_?6",
    "rn7": r"rn7|mratbn7|bn7\.2",
}


def canonical(name: str) -> str:
    """Return the short name of an assembly: 'GRCh38.p13' or 'refdata-cellranger-arc-GRCh38-2020-A' -> 'hg38'.

    The path of an existing chromosome-lengths file (a custom genome) is returned as it is.

    Raises
    ------
    ConfigError
        The name is unknown (the nearest is named), or holds two assemblies (a mixed-species reference).
    MissingFileError
        The name looks like the path of a file that does not exist.
    """
    found = _recognised(name)
    if len(found) == 1 and not Path(name).is_file():
        return found[0]
    if Path(name).is_file():
        return str(name)
    if len(found) > 1:
        raise ConfigError(
            f"Genome '{name}' names {len(found)} assemblies ({', '.join(found)}). Choose one of them."
        )
    if "/" in name or name.endswith((".sizes", ".tsv", ".txt", ".fai", ".gz", ".len")):
        raise MissingFileError(
            f"Chromosome-lengths file {name} does not exist. Expected a file of two columns, chromosome and "
            "length."
        )
    raise ConfigError(
        f"Genome '{name}' is unknown.{nearest(name, KNOWN)} Known: {', '.join(KNOWN)}; for any other give "
        "the path of a file of two columns, chromosome and length."
    )


def is_known(name: str | None) -> bool:
    """Return whether :func:`canonical` finds one assembly with shipped lengths behind ``name``."""
    return name is not None and not Path(name).is_file() and len(_recognised(name)) == 1


def species(name: str) -> str | None:
    """Return human, mouse or rat of a known assembly, None of any other."""
    return _SPECIES[canonical(name)[:2]] if is_known(name) else None


def genome_label(name: str) -> str:
    """Return a name to store: the short name of a known assembly, else the file's or the given name.

    ``'GRCh38'`` -> ``'hg38'``; ``'/data/danRer11.chrom.sizes'`` -> ``'danRer11'``; never raises.
    """
    if is_known(name):
        return canonical(name)
    base = Path(name).name
    return re.sub(r"(\.(chrom|sizes|tsv|txt|fa|fasta|fai|gz|len))+$", "", base) or base


def chrom_lengths(genome: str | Path) -> dict[str, int]:
    """Return the length in bp of every chromosome, in the assembly's order, named in UCSC style.

    Parameters
    ----------
    genome
        An assembly's name in any spelling, or the path of a file of chromosome and length (also ``.fai``,
        also gzipped).

    Raises
    ------
    ConfigError
        Unknown assembly.
    InputError, MissingFileError, DamagedFileError
        The file has a line that is no chromosome and length (named), is empty, missing or truncated.
    """
    name = canonical(str(genome))
    return dict(_shipped(name) if name in KNOWN else _read_lengths(Path(name)))


def _recognised(name: str) -> list[str]:
    text = str(name).lower()
    return [
        assembly
        for assembly, spelling in _SPELLINGS.items()
        if re.search(rf"(?<![a-z0-9])(?:{spelling})(?![0-9])", text)
    ]


@cache
def _shipped(name: str) -> dict[str, int]:
    text = (files("annatac.genome") / "lengths" / f"{name}.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines())
    return {chrom: int(length) for chrom, length in rows}


def _read_lengths(path: Path) -> dict[str, int]:
    lengths: dict[str, int] = {}
    with open_text(path) as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.split()
            if not fields or line.startswith("#"):
                continue
            try:
                length = int(fields[1])
                if length <= 0:
                    raise ValueError
            except (IndexError, ValueError):
                raise InputError(
                    f"{path}, line {number}: {line.strip()[:80]!r} is no chromosome and length. Expected two "
                    "columns, for example 'chr1<tab>248956422'."
                ) from None
            lengths[fields[0]] = length
    if not lengths:
        raise InputError(f"{path} holds no chromosome. Expected lines of chromosome and length.")
    return dict(zip(to_ucsc(list(lengths)), lengths.values(), strict=True))
