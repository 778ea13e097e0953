"""Peak islands: fixed genomic bins, and how open each is in every cell."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError, InputError, OverlapError
from annatac.genome.annotation import as_genes
from annatac.genome.chroms import is_standard, sort_key, species_prefixes, to_ucsc
from annatac.genome.intervals import intervals_of, island_names, overlaps_any, read_bed
from annatac.pp.binning import Assign, Openness, Rows, assign_peaks, group_by_island, island_openness
from annatac.pp.counts import as_csr, column_sums, in_chunks
from annatac.pp.validate import validate_counts

if TYPE_CHECKING:
    from anndata import AnnData

_CHOICES = {
    "islands": ("all", "tss"),
    "assign": ("midpoint", "start", "overlap"),
    "openness": ("mean", "sum", "max", "binary"),
}


def peak_islands(
    adata: AnnData,
    *,
    bin_size: int = 5000,
    islands: Literal["all", "tss"] = "all",
    genes: str | Path | pd.DataFrame | None = None,
    assign: Assign = "midpoint",
    openness: Openness = "mean",
    blacklist: str | Path | pd.DataFrame | None = None,
    within: pd.DataFrame | None = None,
    standard_chromosomes: bool = True,
) -> AnnData:
    """Return the cells' peak islands: chromosomes cut into bins, and the openness of the peaks in each.

    Parameters
    ----------
    adata
        Cells x peaks, counts; X dense, sparse or backed. Counts in bins (from fragments) and islands are
        returned as they are, or regrouped where ``bin_size`` is a multiple of theirs. Features without
        coordinates are returned under their names, with a warning.
    bin_size
        Width of an island in bp.
    islands
        ``'all'``, or ``'tss'``: those with a transcription start site of ``genes`` (the paper's choice).
    genes
        Path of a GTF, GFF3 or BED file, or a table with chrom, symbol and tss.
    assign
        A peak belongs to the bin of its midpoint ``(start + end) // 2``, of its ``'start'`` (the published
        code), or to every bin that it overlaps.
    openness
        Of an island, from the counts of all its peaks in this data, closed ones included: their mean, rounded
        up (the published code), their sum, their maximum, or 1 where any is open.
    blacklist
        BED file or table of intervals; peaks that overlap one are left out.
    within
        Table of intervals (chrom, start, end); peaks that overlap none of them are left out. A model gives the
        peaks of its reference: what is open beside them in the same island was never seen in training.
    standard_chromosomes
        Leave out the mitochondrion and scaffolds; a warning says how many counts go with them.

    Returns
    -------
    New AnnData of cells x islands, in the order of the genome; ``adata`` is not changed.
    X: int32 CSR. obs and uns: as in ``adata``. var: index 'chr1:5000-10000', ``chrom``, ``start``, ``end``,
    ``n_peaks``, ``peaks`` ('start-end;...' of the peaks, '' where a bin was counted whole) and, with genes,
    ``genes`` (';'-joined symbols whose start site lies in the island). ``uns['annatac_islands']``: the
    parameters, among them ``share_within``, the share of all counts that lie ``within``.

    Raises
    ------
    ConfigError
        An unknown choice, ``islands='tss'`` without genes, or bins that cannot be regrouped exactly.
    InputError
        X holds no counts (see :func:`annatac.pp.validate_counts`), no peak is left, or a file cannot be used.
    OverlapError
        No peak overlaps ``within``.
    """
    _check_choices(bin_size, {"islands": islands, "assign": assign, "openness": openness})
    if islands == "tss" and genes is None:
        raise ConfigError("islands='tss' needs genes: give the path of a GTF, GFF3 or BED file of genes.")
    validate_counts(adata)
    table = intervals_of(adata.var)
    if table is None:
        return _named_features(adata, islands)
    made = dict(adata.uns.get(keys.ISLANDS, {}))
    if made:
        openness = _regrouping(made, bin_size, openness)
    table["chrom"] = to_ucsc(table["chrom"])
    n_counts = column_sums(adata.X)
    keep = _usable(table, n_counts, standard_chromosomes=standard_chromosomes)
    if blacklist is not None:
        bad = blacklist if isinstance(blacklist, pd.DataFrame) else read_bed(blacklist)
        keep &= ~overlaps_any(table, bad)
    if not keep.any():
        raise InputError(_nothing_left(adata, table, blacklisted=blacklist is not None))
    share_within = 1.0
    if within is not None:
        n_before = n_counts[keep].sum()
        keep &= overlaps_any(table, within)
        if not keep.any():
            raise OverlapError(_nothing_within(adata, within))
        share_within = float(n_counts[keep].sum() / n_before) if n_before else 1.0
    peak_of, bins = assign_peaks(table, np.flatnonzero(keep), bin_size, "midpoint" if made else assign)
    order, island_of, var = group_by_island(table, peak_of, bins, bin_size)
    peak_of = peak_of[order]
    if made:
        _carry(adata.var, peak_of, island_of, var)
    if genes is not None:
        var[keys.GENES] = _genes_of(var, as_genes(genes), bin_size)
    kept_islands = np.ones(len(var), dtype=bool)
    if islands == "tss":
        kept_islands = var[keys.GENES].to_numpy() != ""
        if not kept_islands.any():
            raise InputError(
                f"None of the {len(var):,} islands holds a start site of the genes. Islands look "
                f"like '{var.index[0]}': are the genes those of this assembly?"
            )
    parts = [
        island_openness(x, peak_of, island_of, len(var), openness)[:, kept_islands]
        for x in in_chunks(adata.X)
    ]
    x = parts[0] if len(parts) == 1 else sp.vstack(parts, format="csr")
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
    return _new(adata, sp.csr_matrix(x), var[kept_islands], parameters)


def _check_choices(bin_size: int, choices: dict[str, str]) -> None:
    if int(bin_size) != bin_size or bin_size < 1:
        raise ConfigError(f"bin_size is {bin_size}; expected a whole number of bp, such as 5000.")
    for name, value in choices.items():
        if value not in _CHOICES[name]:
            raise ConfigError(f"{name}={value!r} is unknown; expected one of {', '.join(_CHOICES[name])}.")


def _new(adata: AnnData, x: sp.csr_matrix, var: pd.DataFrame, parameters: dict[str, Any]) -> AnnData:
    from anndata import AnnData

    uns = {**adata.uns, keys.ISLANDS: parameters}
    return AnnData(x, obs=adata.obs.copy(), var=var.copy(), uns=uns)


def _named_features(adata: AnnData, islands: str) -> AnnData:
    if islands == "tss":
        raise InputError(
            "islands='tss' needs coordinates, but the features have none (the first is "
            f"'{adata.var_names[0]}')."
        )
    warnings.warn(
        f"The {adata.n_vars:,} features have no coordinates (the first is '{adata.var_names[0]}'): they are "
        "used as they are, under their names, and the assembly is ignored.",
        AnnatacWarning,
        stacklevel=3,
    )
    var = pd.DataFrame({keys.N_PEAKS: np.ones(adata.n_vars, dtype=np.int32)}, index=adata.var_names.copy())
    x = as_csr(adata.X)
    return _new(adata, x.astype(np.int32), var, {"source": "names"})


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
            stacklevel=3,
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


def _carry(old: pd.DataFrame, peak_of: Rows, island_of: Rows, var: pd.DataFrame) -> None:
    """Give islands made of islands the peaks that those were made of."""
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


def _genes_of(var: pd.DataFrame, genes: pd.DataFrame, bin_size: int) -> npt.NDArray[Any]:
    """Return the ';'-joined symbols whose start site lies in each island, '' where there is none."""
    tss = genes["tss"].to_numpy() // bin_size * bin_size
    names = pd.Index(island_names(to_ucsc(genes["chrom"]), tss, tss + bin_size))
    table = pd.DataFrame({"at": var.index.get_indexer(names), "tss": genes["tss"], "symbol": genes["symbol"]})
    table = table[table["at"] >= 0].sort_values(["at", "tss", "symbol"]).drop_duplicates(["at", "symbol"])
    result = np.full(len(var), "", dtype=object)
    if len(table):
        joined = table.groupby("at")["symbol"].agg(lambda s: ";".join(map(str, s)))
        result[joined.index.to_numpy()] = joined.to_numpy()
    return result
