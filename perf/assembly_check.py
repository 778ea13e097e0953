"""What betrays a wrong assembly, measured on real data: `python perf/assembly_check.py` (about a minute).

Three tables: features past a chromosome's end; openness near start sites, for peaks and for 5-kb islands; and
the correlation of mean profiles, for single-cell sets against each other, and between the tissues of a DNase
compendium whose query side is on hg19 (right) or lifted to hg38 (wrong).
"""

from __future__ import annotations

import gzip
import itertools
import sys
import warnings

import anndata as ad
import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import datasets
from annatac.genome.annotation import read_genes
from annatac.genome.check import check_assembly, profile_correlation
from annatac.genome.intervals import intervals_of
from annatac.pp import Universe, peak_islands

SETS = (
    "granja2019_bmmc_d6t1",
    "buenrostro2018_bm0828",
    "chen2019_snare_adcortex",
    "schep2017_lines",
    "neurips2021_bmmc_600peaks",
    "buenrostro2015_gm_h1",
    "scabc_bj_tf1_chr12",
    "calderon2019_bulk",
)
GENES = ("hg19", "hg38", "mm10")
N_TISSUES = 12


def lift(chrom: npt.NDArray, position: npt.NDArray[np.int64]) -> tuple[npt.NDArray, npt.NDArray[np.int64]]:
    """Return hg38 chromosome and position of hg19 positions; position -1 where there is none."""
    blocks: dict[str, list[tuple[int, int, str, int]]] = {}
    with gzip.open(datasets.path("hg19_to_hg38_chain"), "rt") as lines:
        for line in lines:
            fields = line.split()
            if not fields:
                continue
            if fields[0] == "chain":
                source, target, at, to = fields[2], fields[7], int(fields[5]), int(fields[10])
                plain = fields[9] == "+" and "_" not in source + target
                continue
            size = int(fields[0])
            if plain:
                blocks.setdefault(source, []).append((at, at + size, target, to))
            if len(fields) == 3:
                at, to = at + size + int(fields[1]), to + size + int(fields[2])
    new_chrom, new_position = chrom.copy(), np.full(len(position), -1, dtype=np.int64)
    for name, found in blocks.items():
        rows = np.flatnonzero(chrom == name)
        found.sort(key=lambda block: block[0])
        start, end, to = (np.array([block[i] for block in found]) for i in (0, 1, 3))
        target = np.array([block[2] for block in found], dtype=object)
        at = np.searchsorted(start, position[rows], side="right") - 1
        inside = (at >= 0) & (position[rows] < end[np.maximum(at, 0)])
        rows, at = rows[inside], at[inside]
        new_position[rows] = position[rows] - start[at] + to[at]
        new_chrom[rows] = target[at]
    return new_chrom, new_position


def tables() -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Universe]]:
    genes = {name: read_genes(datasets.path(f"{name}_genes")) for name in GENES}
    past, tss, universes = [], [], {}
    for name in SETS:
        peaks = ad.read_h5ad(datasets.path(name))
        islands = peak_islands(peaks)
        universes[name] = Universe.from_islands(islands)
        for kind, data in (("peaks", peaks), ("islands", islands)):
            openness = np.asarray(data.X.sum(0), dtype=np.float64).ravel()
            report = check_assembly(intervals_of(data.var), openness=openness, genes_by_assembly=genes)
            row = {"data": name, "features": kind, "genome": peaks.uns["genome"], "likely": report.likely}
            tss.append(
                row
                | {f"share {g}": round(report.tss_share[g], 3) for g in GENES}
                | {f"times {g}": round(report.tss_enrichment[g], 2) for g in GENES}
            )
            if kind == "peaks":
                past.append(row | {"n": report.n_features} | report.n_past_end)
    return pd.DataFrame(past), pd.DataFrame(tss), universes


def single_cell_profiles(universes: dict[str, Universe]) -> pd.DataFrame:
    rows = []
    for model, query in itertools.combinations(SETS, 2):
        index = universes[model].index_of(universes[query].names)
        known = index >= 0
        match = profile_correlation(
            universes[query].mean_openness[known], universes[model].mean_openness[index[known]]
        )
        same = universes[query].genome == universes[model].genome
        rows.append(
            {"model": model, "query": query, "assembly": "right" if same else "wrong", "n": match.n_islands}
            | {"r": round(match.r, 3), "upper": round(match.upper, 3), "foreign": match.foreign}
            | {"doubtful": match.doubtful}
        )
    return pd.DataFrame(rows).sort_values(["assembly", "r"], ignore_index=True)


def tissue_profiles(seed: int = 0) -> pd.DataFrame:
    """Correlations between tissues, the query on hg19 or lifted to hg38; islands open in both, or all."""
    data = np.load(datasets.path("dnase_164_bulk"))
    n_tissues = int(data["indices"].max()) + 1
    chosen = np.random.default_rng(seed).choice(n_tissues, N_TISSUES, replace=False)
    bins = np.repeat(np.arange(len(data["counts"])), data["counts"])
    name = np.array([str(x) for x in data["chrom_names"]], dtype=object)[data["chrom"]]
    start = data["start500"].astype(np.int64) * 500
    lifted_chrom, lifted = lift(name, start + 250)
    sides = {"right": (name, start + 250), "wrong": (lifted_chrom, lifted)}
    profiles: dict[str, dict[int, pd.Series]] = {}
    for side, (chrom, position) in sides.items():
        island = pd.Series(chrom) + ":" + pd.Series(position // 5000).astype(str)
        codes, _ = pd.factorize(island)
        label = pd.Index(island.drop_duplicates())
        profiles[side] = {}
        for tissue in chosen:
            mine = data["indices"] == tissue
            mine &= position[bins] >= 0
            sums = np.bincount(codes[bins[mine]], weights=data["data"][mine], minlength=len(label))
            profiles[side][int(tissue)] = pd.Series(sums, index=label)
    rows = []
    for model, query in itertools.permutations([int(t) for t in chosen], 2):
        for side in sides:
            pair = pd.concat([profiles["right"][model], profiles[side][query]], axis=1, join="inner")
            for islands, kept in (("open in both", pair[(pair > 0).all(axis=1)]), ("measured", pair)):
                match = profile_correlation(kept.iloc[:, 1] / 20, kept.iloc[:, 0] / 20)
                rows.append({"assembly": side, "islands": islands, "r": match.r, "n": match.n_islands})
                rows[-1] |= {"foreign": match.foreign, "doubtful": match.doubtful}
    table = pd.DataFrame(rows).groupby(["islands", "assembly"])
    return table.agg(
        pairs=("r", "size"),
        r_min=("r", "min"),
        r_median=("r", "median"),
        r_max=("r", "max"),
        n=("n", "median"),
        foreign=("foreign", "mean"),
        doubtful=("doubtful", "mean"),
    ).round(3)


def main() -> int:
    warnings.simplefilter("ignore")
    past, tss, universes = tables()
    print("Features past a chromosome's end, by assembly\n", past.to_string(index=False), sep="")
    print("\nOpenness near start sites: share within 1 kb, and times the share 150 and 300 kb away")
    print(tss.to_string(index=False))
    print("\nCorrelation of mean profiles, single-cell and bulk sets")
    print(single_cell_profiles(universes).to_string(index=False))
    print(f"\nCorrelation of mean profiles, {N_TISSUES} tissues, query on hg19 (right) or on hg38 (wrong)")
    print(tissue_profiles().to_string())
    return 0


if __name__ == "__main__":
    sys.exit(main())
