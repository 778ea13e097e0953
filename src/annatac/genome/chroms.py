"""Chromosome names in one style: '1', 'chr1' and 'GRCh38_chr1' are the same chromosome."""

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


def species_prefixes(chrom: npt.ArrayLike) -> list[str]:
    """Return the assembly prefixes of a two-species reference, such as ``['GRCh38', 'mm10']``, sorted."""
    found = (_SPECIES.fullmatch(name) for name in pd.unique(_as_series(chrom)))
    return sorted({match.group(1) for match in found if match})


def to_ucsc(chrom: npt.ArrayLike, *, prefix: str | None = None) -> npt.NDArray[Any]:
    """Return chromosome names in UCSC style: '1' -> 'chr1', 'MT' -> 'chrM'; scaffolds stay as they are.

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
    renamed = np.array([_rename(str(name), prefix) for name in unique], dtype=object)
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


def _rename(name: str, prefix: str | None) -> str:
    match = _SPECIES.fullmatch(name)
    if match and prefix is not None and match.group(1).lower() == prefix.lower():
        name = match.group(2)
    if _BARE.fullmatch(name):
        name = f"chr{name}"
    elif _PREFIXED.match(name) and _BARE.fullmatch(name[3:]):
        name = f"chr{name[3:]}"  # 'Chr1', 'CHR1'
    return "chrM" if name == "chrMT" else name
