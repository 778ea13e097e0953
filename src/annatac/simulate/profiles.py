"""Bulk profiles: how accessible each peak is in each cell type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import (
    AssemblyError,
    ConfigError,
    InputError,
    LabelError,
    MissingFileError,
    no_column,
)
from annatac.genome.assemblies import chrom_lengths, genome_label, is_known
from annatac.genome.chroms import is_standard, to_ucsc
from annatac.genome.intervals import intervals_of
from annatac.pp.counts import as_csr
from annatac.simulate.overlap import carry_over
from annatac.simulate.peak_files import is_profile_folder, read_folder

if TYPE_CHECKING:
    from anndata import AnnData

TYPE_KEY = "cell_type"
_UNNAMED = ("", "nan", "none", "na", "<na>")


@dataclass(frozen=True, kw_only=True)
class Profiles:
    """T bulk profiles over n peaks.

    Attributes
    ----------
    names
        T different cell types.
    signal
        float32 CSR (T, n): accessibility, linear and in any unit, 0 where there is no peak.
    peaks
        n rows: chrom (UCSC style), start, end (0-based, half-open), the standard chromosomes only.
    genome
        Their assembly.
    """

    names: list[str]
    signal: sp.csr_matrix
    peaks: pd.DataFrame
    genome: str

    def on_peaks(self, peaks: pd.DataFrame, genome: str | None) -> Profiles:
        """Return the profiles over other peaks: those of ``peaks`` in which some profile has signal.

        A peak's signal is that of our peaks in it, each by the share of it that lies inside.

        Raises
        ------
        AssemblyError, InputError
            The peaks are on another assembly, or none of them overlaps.
        """
        if genome is not None and genome_label(genome) != self.genome:
            raise AssemblyError(
                f"The profiles are on {self.genome}, the peaks on {genome_label(genome)}. Give peaks "
                "of that assembly, or profiles of the peaks'."
            )
        table = _standard(peaks)
        weight = carry_over(self.peaks, table)
        signal = sp.csr_matrix(self.signal @ weight, dtype=np.float32)
        covered = np.asarray(signal.sum(axis=0)).ravel() > 0
        if not covered.any():
            raise InputError(
                f"None of the {len(peaks):,} peaks overlaps one of the profiles' {len(self.peaks):,}: are both on "
                f"{self.genome}?"
            )
        return replace(self, signal=signal[:, covered], peaks=table[covered].reset_index(drop=True))


def as_profiles(
    adata: AnnData, *, type_key: str = TYPE_KEY, genome: str | None = None, merge: bool = False
) -> Profiles:
    """Return the profiles that an AnnData of profiles x peaks holds.

    Parameters
    ----------
    adata
        X: accessibility, not negative, linear (counts, coverage, or CPM; not logarithms).
    type_key
        Column of obs with the type of each profile.
    genome
        Assembly; ``uns['genome']`` otherwise.
    merge
        Average the profiles of one type (replicates), each scaled to the same sum; otherwise a type that is there
        twice is refused.

    Raises
    ------
    LabelError
        No such column, a profile without a type, or a type that is there twice.
    InputError, AssemblyError, ConfigError
        Negative or missing signal, a profile without any; peaks without coordinates or past a chromosome's end;
        an assembly that is not stated.
    """
    names = _names(adata, type_key)
    stated = genome or adata.uns.get(keys.GENOME)
    if stated is None:
        raise ConfigError("The assembly of the profiles is not stated. Pass genome, such as hg38 (--genome).")
    table = intervals_of(adata.var)
    if table is None:
        raise InputError(
            f"The profiles' features have no coordinates (the first is '{adata.var_names[0]}'). Expected peaks "
            "such as chr1:1000-1500, or columns chrom, start and end in var."
        )
    signal = as_csr(adata.X).astype(np.float32)
    _check_signal(signal, names)
    table["chrom"] = to_ucsc(table["chrom"])
    _check_assembly(table, str(stated))
    keep = is_standard(table["chrom"])
    names, signal = _unique(names, signal[:, keep], merge=merge)
    return Profiles(
        names=names,
        signal=signal,
        peaks=table[keep].reset_index(drop=True),
        genome=genome_label(str(stated)),
    )


def read_profiles(
    path: str | Path,
    *,
    type_key: str = TYPE_KEY,
    genome: str | None = None,
    merge: bool = False,
    peaks: pd.DataFrame | None = None,
) -> Profiles:
    """Return bulk profiles from an h5ad file, or from a folder of one BED, narrowPeak or bigWig file a type.

    Parameters
    ----------
    path
        See :func:`as_profiles` for h5ad files. In a folder the names of the files, without their endings, are the
        types (``CD4 T.narrowPeak.gz``); peaks are cut into bins of 500 bp, with the signal of narrowPeak's seventh
        column, of BED's fifth, or 1.
    peaks
        Intervals to measure bigWig files in; needed for them alone.
    type_key, genome, merge
        As in :func:`as_profiles`.

    Raises
    ------
    MissingFileError, InputError, LabelError, AssemblyError, ConfigError, MissingDependencyError
        See :func:`as_profiles` and :func:`annatac.simulate.peak_files.read_folder`.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"{path} does not exist. Check the name and the working folder.")
    if is_profile_folder(path):
        return as_profiles(read_folder(path, peaks=peaks), genome=genome, merge=merge)
    import anndata

    try:
        adata = anndata.read_h5ad(path)
    except (OSError, KeyError) as error:
        raise InputError(
            f"{path} cannot be read as profiles ({error}). Expected an h5ad file of profiles x peaks, or a folder of "
            "BED, narrowPeak or bigWig files named by type."
        ) from error
    return as_profiles(adata, type_key=type_key, genome=genome, merge=merge)


def _standard(peaks: pd.DataFrame) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "chrom": to_ucsc(peaks["chrom"]),
            "start": peaks["start"].to_numpy(np.int64),
            "end": peaks["end"].to_numpy(np.int64),
        }
    )
    return table[is_standard(table["chrom"]) & (table["start"] >= 0)].reset_index(drop=True)


def _names(adata: AnnData, type_key: str) -> list[str]:
    if type_key not in adata.obs:
        error = no_column(type_key, adata.obs.columns)
        raise LabelError(f"The profiles have no names: {error} Name the column with the types (--type-key).")
    column = adata.obs[type_key]
    names = [str(name).strip() for name in column.astype(object).where(column.notna(), "")]
    unnamed = [i for i, name in enumerate(names) if name.lower() in _UNNAMED]
    if unnamed:
        raise LabelError(
            f"{len(unnamed)} of {len(names)} profiles have no type in obs['{type_key}'], first "
            f"'{adata.obs_names[unnamed[0]]}'. Give each its type, or leave it out."
        )
    return names


def _check_signal(signal: sp.csr_matrix, names: Sequence[str]) -> None:
    if signal.nnz and (not np.isfinite(signal.data).all() or signal.data.min() < 0):
        raise InputError(
            "The profiles hold negative or missing values. Expected linear accessibility (counts, coverage, CPM) of "
            "0 or more; undo a logarithm or scaling first."
        )
    empty = [name for name, n in zip(names, np.diff(signal.indptr), strict=True) if n == 0]
    if empty:
        raise InputError(f"{len(empty)} profiles have no signal at all, first '{empty[0]}'. Leave them out.")


def _check_assembly(table: pd.DataFrame, genome: str) -> None:
    if not is_known(genome) and not Path(genome).is_file():
        return
    length = table["chrom"].map(chrom_lengths(genome)).to_numpy(dtype=float)
    past = np.flatnonzero(table["end"].to_numpy() > np.nan_to_num(length, nan=np.inf) + 500)
    if len(past):
        row = table.iloc[past[0]]
        raise AssemblyError(
            f"{len(past):,} of {len(table):,} peaks of the profiles end past a chromosome of {genome_label(genome)}, "
            f"first {row.chrom}:{row.start}-{row.end} ({int(length[past[0]]):,} bp long): they are on another "
            "assembly. Pass the right one as genome (--genome)."
        )


def _unique(names: list[str], signal: sp.csr_matrix, *, merge: bool) -> tuple[list[str], sp.csr_matrix]:
    codes, unique = pd.factorize(np.array(names, dtype=object))
    if len(unique) == len(names):
        return names, signal
    if not merge:
        twice = unique[np.bincount(codes) > 1]
        raise LabelError(
            f"{len(twice)} types have more than one profile, first '{twice[0]}' ({names.count(str(twice[0]))}). Give "
            "each profile a name of its own, or average the profiles of a type (--merge)."
        )
    total = np.asarray(signal.sum(axis=1)).ravel()
    weight: npt.NDArray[np.float64] = 1 / np.bincount(codes)[codes] / np.maximum(total, 1e-12) * total.mean()
    mean = sp.csr_matrix((weight, (codes, np.arange(len(names)))), shape=(len(unique), len(names)))
    return [str(name) for name in unique], sp.csr_matrix(mean @ signal, dtype=np.float32)
