"""Chromosome names in one style: '1', 'chr1', 'GRCh38_chr1' and 'NC_000001.11' are the same chromosome."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

_NUCLEAR = r"(?:[0-9]{1,2}[A-Za-z]?|[XYZW]|[IVX]{1,5})"  # 1, 2L, X, Z, XIV
_BARE = re.compile(rf"(?:{_NUCLEAR}|M|MT)")
_PREFIXED = re.compile(r"chr(?=.)", re.IGNORECASE)
_STANDARD = re.compile(rf"chr{_NUCLEAR}")
# 10x names the chromosomes of two-species references 'GRCh38_chr1', 'mm10_chr1' (or with more underscores)
_SPECIES = re.compile(
    rf"((?:GRCh|GRCm|hg|mm|rn|Rnor|mRatBN)[0-9A-Za-z.]*)_+((?:chr)?(?:{_NUCLEAR}|MT|M))", re.IGNORECASE
)


def _accessions(n_autosomes: int, first: dict[str, int], mitochondria: tuple[str, ...]) -> dict[str, str]:
    chroms = [f"chr{name}" for name in (*range(1, n_autosomes + 1), "X", "Y")]
    nuclear = {f"{p}{n + i:06d}": chrom for p, n in first.items() for i, chrom in enumerate(chroms)}
    return nuclear | dict.fromkeys(mitochondria, "chrM")


#: NCBI's accessions (RefSeq, GenBank) of human and mouse chromosomes. The version ('.10' of hg19, '.11' of hg38)
#: is not read: which assembly it is shows in the chromosomes' lengths.
_ACCESSIONS = (
    _accessions(22, {"NC_": 1, "CM": 663}, ("NC_012920", "J01415")),
    _accessions(19, {"NC_": 67, "CM": 994}, ("NC_005089", "AY172335")),
)


def species_prefixes(chrom: npt.ArrayLike) -> list[str]:
    """Return the assembly prefixes of a two-species reference, such as ``['GRCh38', 'mm10']``, sorted."""
    found = (_SPECIES.fullmatch(name) for name in pd.unique(_as_series(chrom)))
    return sorted({match.group(1) for match in found if match})


def to_ucsc(chrom: npt.ArrayLike, *, prefix: str | None = None) -> npt.NDArray[Any]:
    """Return chromosome names in UCSC style: '1' -> 'chr1', 'MT' -> 'chrM'; scaffolds stay as they are.

    Accessions of human and mouse chromosomes become their names too: 'NC_000023.11' -> 'chrX'.

    Parameters
    ----------
    chrom
        Names, any string or integer array of length n.
    prefix
        Of a two-species reference, the assembly prefix to take off (``'GRCh38'``). Without it a prefix is
        taken off only where all prefixed names have the same one: two species are never merged.

    Returns
    -------
    Object array of n strings.
    """
    series = _as_series(chrom)
    codes, unique = pd.factorize(series)
    if prefix is None:
        prefixes = {match.group(1) for match in map(_SPECIES.fullmatch, unique) if match}
        prefix = next(iter(prefixes)) if len(prefixes) == 1 else None
    tables = [table for table in _ACCESSIONS if any(_bare(name) in table for name in unique)]
    accessions = tables[0] if len(tables) == 1 else {}
    renamed = np.array([_rename(str(name), prefix, accessions) for name in unique], dtype=object)
    return renamed[codes] if len(renamed) else np.empty(0, dtype=object)


def is_standard(chrom: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which of n names are nuclear chromosomes (autosomes and sex chromosomes), in any style.

    The mitochondrion, scaffolds, patches and decoys are not.
    """
    codes, unique = pd.factorize(pd.Series(to_ucsc(chrom), dtype=object))
    flags = np.array([bool(_STANDARD.fullmatch(str(name))) for name in unique], dtype=bool)
    return flags[codes] if len(flags) else np.empty(0, dtype=bool)


def sort_key(chrom: str) -> tuple[int, int, str]:
    """Return a key that sorts chromosomes as a reader expects: 1, 2 ... 22, X, Y, M, the rest by name."""
    name = chrom[3:] if chrom.lower().startswith("chr") else chrom
    number = re.match(r"[0-9]+", name)
    if number and "_" not in name and "." not in name:
        return (0, int(number.group()), name)
    order = {"X": 1, "Y": 2, "Z": 3, "W": 4, "M": 5, "MT": 5}
    return (1, order[name], name) if name in order else (2, 0, chrom)


def _as_series(chrom: npt.ArrayLike) -> pd.Series:
    return pd.Series(np.asarray(chrom)).astype(str)


def _bare(name: str) -> str:
    """Return an accession without its version."""
    return name.partition(".")[0]


def _rename(name: str, prefix: str | None, accessions: dict[str, str]) -> str:
    name = accessions.get(_bare(name), name)
    match = _SPECIES.fullmatch(name)
    if match and prefix is not None and match.group(1).lower() == prefix.lower():
        name = match.group(2)
    if _BARE.fullmatch(name):
        name = f"chr{name}"
    elif _PREFIXED.match(name) and _BARE.fullmatch(name[3:]):
        name = f"chr{name[3:]}"  # 'Chr1', 'CHR1'
    return "chrM" if name == "chrMT" else name
