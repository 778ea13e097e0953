"""Which islands a query's peaks make: everything about them but the counts of single cells."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError, InputError, OverlapError
from annatac.genome.annotation import as_genes
from annatac.genome.bed import read_bed
from annatac.genome.chroms import is_standard, sort_key, species_prefixes, to_ucsc
from annatac.genome.intervals import intervals_of, island_names, overlaps_any
from annatac.pp.binning import Assign, Openness, Rows, assign_peaks, group_by_island, island_openness
from annatac.pp.lift import Lift

if TYPE_CHECKING:
    from anndata import AnnData

_CHOICES = {
    "islands": ("all", "tss"),
    "assign": ("midpoint", "start", "overlap"),
    "openness": ("mean", "sum", "max", "binary"),
}


@dataclass(frozen=True, kw_only=True)
class IslandLayout:
    """Which islands a query's peaks make; :meth:`of` makes them, for any of its cells.

    Attributes
    ----------
    var
        Table of the n islands, as :func:`annatac.pp.peak_islands` gives it.
    parameters
        What goes into ``uns['annatac_islands']``.
    peak_of, island_of
        int64, pairs of a peak (column of X) and its island, sorted by island; empty where features are taken
        as they are.
    kept
        bool, of all islands of the pairs those in ``var``.
    openness
        How the counts of an island's peaks become one number; None: features are taken as they are.
    genome
        The assembly that the peaks were lifted to; None: they were not lifted.
    """

    var: pd.DataFrame
    parameters: dict[str, Any]
    peak_of: Rows
    island_of: Rows
    kept: npt.NDArray[np.bool_]
    openness: Openness | None
    genome: str | None = None

    def of(self, x: sp.csr_matrix) -> sp.csr_matrix:
        """Return the islands of some cells, int32 CSR (cells x n), from their counts (cells x peaks)."""
        if self.openness is None:
            return x.astype(np.int32)
        whole = island_openness(x, self.peak_of, self.island_of, len(self.kept), self.openness)
        return whole if self.kept.all() else whole[:, self.kept]


def island_layout(
    adata: AnnData,
    n_counts: npt.NDArray[np.float64],
    *,
    bin_size: int = 5000,
    islands: Literal["all", "tss"] = "all",
    genes: str | Path | pd.DataFrame | None = None,
    assign: Assign = "midpoint",
    openness: Openness = "mean",
    blacklist: str | Path | pd.DataFrame | None = None,
    within: pd.DataFrame | None = None,
    lift: Lift | None = None,
    standard_chromosomes: bool = True,
) -> IslandLayout:
    """Return which islands the peaks make, without making them: see :func:`annatac.pp.peak_islands`.

    ``n_counts``, the sum of each peak's counts, is what :func:`annatac.pp.validate_counts` returns.
    """
    _check_choices(bin_size, {"islands": islands, "assign": assign, "openness": openness})
    if islands == "tss" and genes is None:
        raise ConfigError("islands='tss' needs genes: give the path of a GTF, GFF3 or BED file of genes.")
    table = intervals_of(adata.var)
    if table is None:
        return _named_features(adata, islands)
    made = dict(adata.uns.get(keys.ISLANDS, {}))
    if made:
        openness = _regrouping(made, bin_size, openness)
    lifted: dict[str, Any] = {}
    if lift is not None:
        table = lift.features(adata, table, bin_size)
        is_found = (table["start"] >= 0).to_numpy()
        lifted = {"lifted_from": lift.liftover.source, "share_lifted": _share(n_counts, is_found)}
        warnings.warn(
            f"Lifted from {lift.liftover.source} to {lift.liftover.target} by {lift.liftover.means}: "
            f"{lifted['share_lifted']:.2%} of the counts have a counterpart.",
            AnnatacWarning,
            stacklevel=3,
        )
        n_counts = np.where(is_found, n_counts, 0)  # reported as lost by the lift, not again below
    table["chrom"] = to_ucsc(table["chrom"])
    keep = _usable(table, n_counts, standard_chromosomes=standard_chromosomes)
    if blacklist is not None:
        bad = blacklist if isinstance(blacklist, pd.DataFrame) else read_bed(blacklist)
        keep &= ~overlaps_any(table, bad)
    if not keep.any():
        raise InputError(_nothing_left(adata, table, blacklisted=blacklist is not None))
    share_within = 1.0
    if within is not None:
        before = keep
        keep = keep & overlaps_any(table, within)
        if not keep.any():
            raise OverlapError(_nothing_within(adata, within))
        share_within = _share(n_counts[before], keep[before])
    peak_of, bins = assign_peaks(table, np.flatnonzero(keep), bin_size, "midpoint" if made else assign)
    order, island_of, var = group_by_island(table, peak_of, bins, bin_size)
    peak_of = peak_of[order]
    if made:
        _carry(adata.var, peak_of, island_of, var, lifted=lift is not None)
    if genes is not None:
        var[keys.GENES] = genes_of(var, as_genes(genes), bin_size)
    kept = np.ones(len(var), dtype=bool)
    if islands == "tss":
        kept = var[keys.GENES].to_numpy() != ""
        if not kept.any():
            raise InputError(
                f"None of the {len(var):,} islands holds a start site of the genes. Islands look "
                f"like '{var.index[0]}': are the genes those of this assembly?"
            )
    parameters: dict[str, Any] = {
        "bin_size": bin_size,
        "islands": islands,
        "assign": assign,
        "openness": openness,
        "standard_chromosomes": standard_chromosomes,
        "blacklist": blacklist is not None,
        "source": "peaks",
    }
    if within is not None:
        parameters["share_within"] = share_within
    if made:
        parameters |= {k: v for k, v in made.items() if k not in ("bin_size", "islands")}
        parameters["openness"] = openness if openness == "binary" else made.get("openness", openness)
    return IslandLayout(
        var=var[kept],
        parameters=parameters | lifted,
        peak_of=peak_of,
        island_of=island_of,
        kept=kept,
        openness=openness,
        genome=None if lift is None else lift.liftover.target,
    )


def _share(counts: npt.NDArray[np.float64], chosen: npt.NDArray[np.bool_]) -> float:
    """Return the share of counts that are chosen, 1 where there is no count."""
    total = counts.sum()
    return float(counts[chosen].sum() / total) if total else 1.0


def _check_choices(bin_size: int, choices: dict[str, str]) -> None:
    if int(bin_size) != bin_size or bin_size < 1:
        raise ConfigError(f"bin_size is {bin_size}; expected a whole number of bp, such as 5000.")
    for name, value in choices.items():
        if value not in _CHOICES[name]:
            raise ConfigError(f"{name}={value!r} is unknown; expected one of {', '.join(_CHOICES[name])}.")


def _named_features(adata: AnnData, islands: str) -> IslandLayout:
    if islands == "tss":
        raise InputError(
            "islands='tss' needs coordinates, but the features have none (the first is "
            f"'{adata.var_names[0]}')."
        )
    warnings.warn(
        f"The {adata.n_vars:,} features have no coordinates (the first is '{adata.var_names[0]}'): they are "
        "used as they are, under their names, and the assembly is ignored.",
        AnnatacWarning,
        stacklevel=4,
    )
    var = pd.DataFrame({keys.N_PEAKS: np.ones(adata.n_vars, dtype=np.int32)}, index=adata.var_names.copy())
    none, kept = np.empty(0, dtype=np.int64), np.ones(len(var), dtype=bool)
    return IslandLayout(
        var=var, parameters={"source": "names"}, peak_of=none, island_of=none, kept=kept, openness=None
    )


def _regrouping(made: dict[str, Any], bin_size: int, openness: Openness) -> Openness:
    """Return how bins that exist already are put together; they are never averaged over again."""
    old = int(made.get("bin_size", bin_size))
    if bin_size % old:
        raise ConfigError(
            f"The input is in bins of {old:,} bp, which do not make bins of {bin_size:,} bp. Choose a "
            f"multiple of {old}, or start from the peaks or fragments."
        )
    if openness == "binary":
        return "binary"
    if made.get("source") == "fragments":
        return "max" if openness == "max" else "sum"
    held: Openness = made.get("openness", "mean")
    if openness not in (held, "mean"):
        raise ConfigError(
            f"The islands hold the {held} of their peaks, from which the {openness} cannot be had. Start "
            "from the peaks or fragments."
        )
    if old != bin_size and held == "mean":
        raise ConfigError(
            f"Islands of {old:,} bp that hold rounded means cannot be put together to {bin_size:,} bp "
            "exactly. Start from the peaks or fragments."
        )
    return "sum" if old == bin_size else held


def _usable(
    table: pd.DataFrame, n_counts: npt.NDArray[np.float64], *, standard_chromosomes: bool
) -> npt.NDArray[np.bool_]:
    keep = table["start"].to_numpy() >= 0
    if standard_chromosomes:
        keep &= is_standard(table["chrom"])
    lost = n_counts[~keep].sum()
    if lost and keep.any():
        names = sorted({name or "no coordinates" for name in table["chrom"][~keep]}, key=sort_key)
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        warnings.warn(
            f"{int(lost):,} counts ({lost / n_counts.sum():.2%}) in {int((~keep).sum()):,} features outside "
            f"the standard chromosomes ({shown}) are left out. Pass standard_chromosomes=False to keep them.",
            AnnatacWarning,
            stacklevel=4,
        )
    return keep


def _nothing_left(adata: AnnData, table: pd.DataFrame, *, blacklisted: bool) -> str:
    shown = ", ".join(sorted(set(table["chrom"]), key=sort_key)[:5])
    message = f"None of the {adata.n_vars:,} peaks can be used: their chromosomes are {shown}."
    species = species_prefixes(table["chrom"])
    if len(species) > 1:
        return f"{message} They belong to {' and '.join(species)}: keep the peaks of one species first."
    if blacklisted and is_standard(table["chrom"]).any():
        return f"{message} The blacklist covers all of them: is it of this assembly, and a blacklist?"
    return f"{message} Expected names such as chr1 or 1. To use them pass standard_chromosomes=False."


def _nothing_within(adata: AnnData, within: pd.DataFrame) -> str:
    first = within.iloc[0]
    return (
        f"None of the query's {adata.n_vars:,} peaks overlaps one of the model's {len(within):,}: they look like "
        f"'{adata.var_names[0]}', the model's like '{first['chrom']}:{first['start']}-{first['end']}'. Count the "
        "query's fragments in the model's peaks: give the fragment file."
    )


def _carry(
    old: pd.DataFrame, peak_of: Rows, island_of: Rows, var: pd.DataFrame, *, lifted: bool = False
) -> None:
    """Give islands made of islands the peaks that those were made of; lifted ones have lost them."""
    if lifted:
        old = old.drop(columns=[keys.PEAKS, keys.GENES], errors="ignore")
    n_peaks = old[keys.N_PEAKS].to_numpy() if keys.N_PEAKS in old else np.ones(len(old), dtype=np.int64)
    peaks = old[keys.PEAKS].astype(str).to_numpy() if keys.PEAKS in old else np.full(len(old), "")
    if len(peak_of) == len(var):
        var[keys.N_PEAKS] = n_peaks[peak_of].astype(np.int32)
        var[keys.PEAKS] = peaks[peak_of].astype(object)
        if keys.GENES in old:
            var[keys.GENES] = old[keys.GENES].astype(str).to_numpy(dtype=object)[peak_of]
        return
    var[keys.N_PEAKS] = np.bincount(island_of, weights=n_peaks[peak_of]).astype(np.int32)
    members = np.split(peaks[peak_of], np.flatnonzero(np.diff(island_of)) + 1)
    var[keys.PEAKS] = [";".join(m) if all(m) else "" for m in members]


def genes_of(var: pd.DataFrame, genes: pd.DataFrame, bin_size: int) -> npt.NDArray[Any]:
    """Return the ';'-joined symbols whose start site lies in each island, '' where there is none.

    ``var`` is indexed by names such as 'chr1:0-5000'; ``genes`` has chrom, symbol and tss.
    """
    tss = genes["tss"].to_numpy() // bin_size * bin_size
    names = pd.Index(island_names(to_ucsc(genes["chrom"]), tss, tss + bin_size))
    table = pd.DataFrame({"at": var.index.get_indexer(names), "tss": genes["tss"], "symbol": genes["symbol"]})
    table = table[table["at"] >= 0].sort_values(["at", "tss", "symbol"]).drop_duplicates(["at", "symbol"])
    result = np.full(len(var), "", dtype=object)
    if len(table):
        joined = table.groupby("at")["symbol"].agg(lambda s: ";".join(map(str, s)))
        result[joined.index.to_numpy()] = joined.to_numpy()
    return result
