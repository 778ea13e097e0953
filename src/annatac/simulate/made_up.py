"""Simulated scATAC-seq cells, for demonstrations and tests: never evidence of how well a method works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import ConfigError
from annatac.genome.assemblies import canonical, chrom_lengths
from annatac.genome.chroms import is_standard

if TYPE_CHECKING:
    from anndata import AnnData

#: Lineage -> its cell types, most frequent first. Types of one lineage are siblings, hard to tell apart.
BLOOD: dict[str, tuple[str, ...]] = {
    "T/NK": ("CD4 T", "CD8 T", "NK"),
    "Myeloid": ("Monocyte", "cDC"),
    "B": ("B naive", "B memory"),
    "Progenitor": ("HSC", "CMP/LMPP", "GMP"),
    "Erythroid": ("Erythroid",),
    "pDC": ("pDC",),
}

BIN_BP = 5000
PEAK_BP = 500
MAX_PEAKS_PER_ISLAND = 3

# Shares of the islands, and natural-log fold changes (mean, standard deviation) where an island is
# specific.
_CONSTITUTIVE_SHARE, _CONSTITUTIVE_LFC = 0.10, (1.8, 0.5)
_LINEAGE_SHARE, _LINEAGE_LFC = 0.08, (1.6, 0.5)
_TYPE_SHARE, _TYPE_LFC = 0.03, (1.25, 0.5)
_BACKGROUND = 0.15  # share of a cell's insertions that tell nothing of its type
_UNDECIDED = (1.5, 4.0)  # beta distribution of a cell's share of its lineage's mean profile
_DEPTH_SIGMA = 0.45  # natural-log standard deviation of a cell's depth


def simulate_cells(
    n_cells: int = 1500,
    *,
    cell_types: int | Sequence[str] | Mapping[str, Sequence[str]] = BLOOD,
    n_islands: int = 8000,
    open_islands: int = 800,
    donors: int | Sequence[str] = 3,
    donor_effect: float = 0.25,
    genome: str = "hg38",
    seed: int = 0,
) -> AnnData:
    """Return simulated cells x peaks with known types, donors and lineages.

    Each type has a profile of insertion rates: a log-normal base shared by all, constitutive islands open
    everywhere, islands specific to the lineage, fewer and weaker ones specific to the type. A donor
    shifts every island a little, its depth, and the share of each type. A cell draws its insertions from
    its type's profile in its donor, a part of them from its lineage's mean (so that some cells stand between
    siblings), and a part from a background that is the same for all types.
    The same ``seed`` gives the same peaks and profiles whatever ``n_cells``.

    Parameters
    ----------
    n_cells
        Number of cells. Every type occurs in every donor that has as many cells as there are types.
    cell_types
        Lineages with their types (``{lineage: [type, ...]}``), or type names (consecutive pairs are
        siblings), or a number of types. Types come in falling frequency, each at least 1 % of the cells.
    n_islands
        Number of 5-kb islands that hold at least one peak; peaks are 500 bp, 1 to 3 an island (about 1.5).
    open_islands
        Islands with at least one insertion in a cell of median depth.
    donors
        Names or number of the donors; cells are dealt evenly.
    donor_effect
        Standard deviation of a donor's natural-log shift of an island's rate.
    genome
        Assembly whose chromosomes hold the peaks (autosomes and X).
    seed
        Seed of every random stream.

    Returns
    -------
    AnnData with ``X`` CSR int32 (insertions), ``obs['cell_type', 'lineage', 'donor']`` (categorical),
    ``var['chrom', 'start', 'end']`` (0-based, half-open), ``uns['genome']`` and ``uns['simulated']``,
    which says that the cells are simulated and how.

    Raises
    ------
    ConfigError
        A number out of range, names given twice, or more islands than the genome has bins.
    """
    import anndata

    lineage_of = _lineages(cell_types)
    donor_names = _donor_names(donors)
    _check_numbers(n_cells, n_islands, open_islands, len(lineage_of), donor_effect)
    var, island_of_peak = _peaks(n_islands, canonical(genome), seed)
    profiles = _type_profiles(lineage_of, n_islands, seed)
    lineages = np.array(list(lineage_of.values()))
    siblings = [profiles[lineages == lineage].mean(axis=0) for lineage in lineages]
    peak_weight = np.random.default_rng([seed, 2]).gamma(4.0, size=len(var))
    peak_weight /= np.bincount(island_of_peak, peak_weight)[island_of_peak]

    cells = np.random.default_rng([seed, 3])
    donor_of = cells.permutation(np.arange(n_cells) % len(donor_names))
    depth_of = _median_depth(profiles.mean(axis=0), open_islands) * cells.lognormal(0, _DEPTH_SIGMA, n_cells)
    type_of = np.empty(n_cells, dtype=np.int64)
    parts = []
    for donor in range(len(donor_names)):
        own = np.random.default_rng([seed, 4, donor])
        shift = np.exp(own.normal(0, donor_effect, n_islands))
        depth_factor = own.lognormal(0, 0.4 * donor_effect)
        members = np.flatnonzero(donor_of == donor)
        type_of[members] = _deal_types(len(members), len(lineage_of), own)
        for kind, profile in enumerate(profiles):
            group = members[type_of[members] == kind]
            depth = depth_of[group] * depth_factor
            undecided = own.beta(*_UNDECIDED, len(group))
            for island_rate, part in ((profile, 1 - undecided), (siblings[kind], undecided)):
                rate = (island_rate * shift)[island_of_peak] * peak_weight
                parts.append(_draw(group, depth * part, rate, own))
    row, column = (np.concatenate(part) for part in zip(*parts, strict=True))
    counts = sp.coo_matrix((np.ones(len(row), np.int32), (row, column)), shape=(n_cells, len(var))).tocsr()

    names = np.array(list(lineage_of))
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(names[type_of], categories=list(names)),
            "lineage": pd.Categorical(lineages[type_of], categories=list(dict.fromkeys(lineages))),
            "donor": pd.Categorical(np.array(donor_names)[donor_of], categories=donor_names),
        },
        index=_barcodes(n_cells, seed),
    )
    uns = {
        keys.GENOME: canonical(genome),
        "simulated": {
            "note": "These cells are simulated by annatac.simulate.simulate_cells. They are not real data.",
            "seed": seed,
            "n_islands": n_islands,
            "open_islands": open_islands,
            "donor_effect": donor_effect,
        },
    }
    return anndata.AnnData(X=counts, obs=obs, var=var, uns=uns)


def _lineages(cell_types: int | Sequence[str] | Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return {type: lineage} in the order of frequency."""
    if isinstance(cell_types, Mapping):
        pairs = [(name, lineage) for lineage, types in cell_types.items() for name in types]
    else:
        if isinstance(cell_types, str):
            raise ConfigError(f"cell_types is the text '{cell_types}'; give a list of names or a number.")
        names = (
            [f"type {i + 1}" for i in range(cell_types)] if isinstance(cell_types, int) else list(cell_types)
        )
        pairs = [(name, f"lineage {i // 2 + 1}") for i, name in enumerate(names)]
    lineage_of = dict(pairs)
    if len(lineage_of) < len(pairs):
        twice = sorted({name for name, _ in pairs if [n for n, _ in pairs].count(name) > 1})
        raise ConfigError(f"Cell types given more than once: {', '.join(twice)}. Each name must be unique.")
    if not lineage_of:
        raise ConfigError("No cell type to simulate: give at least one.")
    return lineage_of


def _donor_names(donors: int | Sequence[str]) -> list[str]:
    names = [f"donor{i + 1}" for i in range(donors)] if isinstance(donors, int) else list(donors)
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"donors is {donors!r}; expected a number of at least 1, or unique names.")
    return names


def _check_numbers(
    n_cells: int, n_islands: int, open_islands: int, n_types: int, donor_effect: float
) -> None:
    if n_cells < n_types:
        raise ConfigError(f"{n_cells} cells cannot hold {n_types} cell types: ask for more cells.")
    if not 0 < open_islands <= 0.8 * n_islands:
        raise ConfigError(
            f"open_islands is {open_islands}, of {n_islands} islands; expected 1 to {int(0.8 * n_islands)}."
        )
    if donor_effect < 0:
        raise ConfigError(f"donor_effect is {donor_effect}; expected 0 or more.")


def _peaks(n_islands: int, genome: str, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the peaks, sorted by position, and the island (0..n_islands-1, sorted too) that each lies in."""
    rng = np.random.default_rng([seed, 0])
    lengths = chrom_lengths(genome)
    chroms = [c for c, keep in zip(lengths, is_standard(np.array(list(lengths))), strict=True) if keep]
    chroms = [c for c in chroms if c != "chrY"]
    n_bins = np.array([max(lengths[c] // BIN_BP - 4, 0) for c in chroms])  # not at the very ends
    if n_islands > n_bins.sum():
        raise ConfigError(f"n_islands is {n_islands}, but {genome} has only {n_bins.sum()} 5-kb bins.")
    place = np.sort(rng.choice(n_bins.sum(), size=n_islands, replace=False))
    first = np.concatenate([[0], np.cumsum(n_bins)])
    chrom = np.searchsorted(first, place, side="right") - 1
    island_start = (place - first[chrom] + 2) * BIN_BP

    n_peaks = rng.choice([1, 2, 3], p=[0.62, 0.26, 0.12], size=n_islands)
    slot = rng.random((n_islands, MAX_PEAKS_PER_ISLAND)).argsort(axis=1)
    used = np.sort(np.where(np.arange(MAX_PEAKS_PER_ISLAND) < n_peaks[:, None], slot, 9), axis=1)
    island_of_peak, column = np.nonzero(used < 9)
    slot_bp = BIN_BP // MAX_PEAKS_PER_ISLAND
    offset = used[island_of_peak, column] * slot_bp + rng.integers(0, slot_bp - PEAK_BP, len(island_of_peak))
    start = island_start[island_of_peak] + offset
    var = pd.DataFrame({keys.CHROM: np.array(chroms)[chrom[island_of_peak]], keys.START: start})
    var[keys.END] = var[keys.START] + PEAK_BP
    var.index = pd.Index(
        [f"{c}:{s}-{e}" for c, s, e in zip(var[keys.CHROM], var[keys.START], var[keys.END], strict=True)]
    )
    return var, island_of_peak


def _type_profiles(lineage_of: dict[str, str], n_islands: int, seed: int) -> np.ndarray:
    """Return the rates of the islands in each type, types x islands, rows summing to 1."""
    rng = np.random.default_rng([seed, 1])
    log_rate = rng.normal(0, 0.8, n_islands)
    constitutive = rng.random(n_islands) < _CONSTITUTIVE_SHARE
    log_rate[constitutive] += rng.normal(*_CONSTITUTIVE_LFC, constitutive.sum())
    of_lineage = {
        lineage: (rng.random(n_islands) < _LINEAGE_SHARE) * rng.normal(*_LINEAGE_LFC, n_islands)
        for lineage in dict.fromkeys(lineage_of.values())
    }
    of_type = [
        (rng.random(n_islands) < _TYPE_SHARE) * rng.normal(*_TYPE_LFC, n_islands)
        for _ in range(len(lineage_of))
    ]
    rates = np.exp(
        [
            log_rate + of_lineage[lineage] + own
            for lineage, own in zip(lineage_of.values(), of_type, strict=True)
        ]
    )
    rates /= rates.sum(axis=1, keepdims=True)
    return (1 - _BACKGROUND) * rates + _BACKGROUND * rates.mean(axis=0)


def _median_depth(profile: np.ndarray, open_islands: int) -> float:
    """Return the insertions that open ``open_islands`` islands: sum(1 - exp(-depth p)) = n."""
    low, high = 0.0, 1.0
    while -np.expm1(-high * profile).sum() < open_islands:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        if -np.expm1(-middle * profile).sum() < open_islands:
            low = middle
        else:
            high = middle
    return high


def _deal_types(n_cells: int, n_types: int, rng: np.random.Generator) -> np.ndarray:
    """Return the types of a donor's cells: falling frequencies, every type present where it can be."""
    share = 1 / np.arange(1, n_types + 1) ** 0.8 * rng.gamma(20, size=n_types)
    share = np.maximum(share / share.sum(), 0.01)
    types = rng.choice(n_types, size=n_cells, p=share / share.sum())
    if n_cells >= n_types:
        types[:n_types] = np.arange(n_types)
    return rng.permutation(types)


def _draw(
    cells: np.ndarray, depth: np.ndarray, rate: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return (cell, peak) of every insertion of ``cells``, drawn from ``rate`` (peaks)."""
    cumulative = np.cumsum(rate)
    n_insertions = rng.poisson(depth)
    where = rng.random(n_insertions.sum()) * cumulative[-1]
    peak = np.minimum(np.searchsorted(cumulative, where, side="right"), len(rate) - 1)
    return np.repeat(cells, n_insertions).astype(np.int32), peak.astype(np.int32)


def _barcodes(n_cells: int, seed: int) -> pd.Index:
    """Return unique barcodes of 16 bases, as Cell Ranger writes them."""
    rng = np.random.default_rng([seed, 5])
    codes: list[str] = []
    while len(set(codes)) < n_cells:
        codes += ["".join(row) + "-1" for row in rng.choice(list("ACGT"), size=(n_cells, 16))]
        codes = list(dict.fromkeys(codes))[:n_cells]
    return pd.Index(codes)
