"""How well planted footprints are recovered: `python perf/footprint_recovery.py`.

Simulated, not real: a random genome with stretches of different GC content; open regions of different height
with a factor's 12-bp motif in their middle, on either strand; insertions that follow region, a preference of
Tn5 for hexamers (`--bias-sd`, standard deviation of its natural logarithm; with `--wide` the preference is a
sum over 10 bp, which hexamers cannot express), and a footprint of known depth, one for each cell type. The
motif's own hexamers are preferred or avoided at random, so that without correction the depth is wrong.

Prints a table over `--seeds` (mean and spread of the depths, the worst error, and how many runs are within a tenth of
what was planted beside how many would be if the error were that of counting, ``depth_se``, alone), and writes
perf/results/footprint_recovery.json (`_wide`, `_few` for other settings).
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
import warnings
from datetime import date
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy.stats import norm

from annatac.errors import AnnatacWarning
from annatac.genome.fasta import kmer_codes
from annatac.tl.fragments.footprinting import footprints

RESULTS = Path(__file__).parent / "results" / "footprint_recovery.json"
DEPTHS = {"A/1": 0.0, "B/2": 0.3, "C/3": 0.6, "D/4": 0.9}  # a type name is data: it may hold a slash
WIDTH_BP, CORE_BP, N_CELLS = 2_000, 12, 12


def simulate(
    folder: Path,
    *,
    seed: int = 0,
    n_sites: int = 400,
    n_fragments: int = 60_000,
    bias_sd: float = 0.7,
    wide: bool = False,
    depths: dict[str, float] = DEPTHS,
) -> tuple[ad.AnnData, Path, Path, pd.DataFrame]:
    """Write FASTA and fragments; return cells (obs type), both paths and the sites (chrom, start, end, strand).

    ``n_fragments`` is for each type.
    """
    rng = np.random.default_rng(seed)
    n_bp = WIDTH_BP * n_sites
    gc = np.repeat(rng.beta(6, 8, n_bp // 500), 500)
    bases = np.where(rng.random(n_bp) < gc, rng.integers(1, 3, n_bp), rng.choice([0, 3], n_bp)).astype(
        np.uint8
    )
    motif = rng.integers(0, 4, CORE_BP).astype(np.uint8)
    minus = rng.random(n_sites) < 0.5
    start = np.arange(n_sites) * WIDTH_BP + WIDTH_BP // 2 + rng.integers(-300, 300, n_sites)
    for s, is_minus in zip(start, minus, strict=True):
        bases[s : s + CORE_BP] = 3 - motif[::-1] if is_minus else motif

    if wide:
        table = rng.normal(0, bias_sd / np.sqrt(10), (10, 4))
        preference = np.ones(n_bp)
        inner = sum(table[j][bases[j : n_bp - 9 + j]] for j in range(10))
        preference[5 : n_bp - 4] = np.exp(inner)
    else:
        by_kmer = np.exp(rng.normal(0, bias_sd, 4**6))
        preference = np.ones(n_bp)
        preference[3 : n_bp - 2] = by_kmer[kmer_codes(bases, 6)]
    distance = (np.arange(WIDTH_BP)[None] + np.arange(n_sites)[:, None] * WIDTH_BP) - (start + 6)[:, None]
    height = rng.gamma(2.0, 1.0, n_sites)[:, None] * (0.05 + np.exp(-((distance / 400) ** 2)))
    open_weight = height * preference.reshape(n_sites, WIDTH_BP)
    in_core = np.arange(n_bp).reshape(n_sites, WIDTH_BP)
    in_core = (in_core >= start[:, None]) & (in_core < start[:, None] + CORE_BP)

    rows = []
    for name, depth in depths.items():
        weight = np.where(in_core, 1 - depth, 1.0) * open_weight
        by_site = rng.multinomial(n_fragments, weight.sum(1) / weight.sum())
        for site, n in enumerate(by_site):
            ends = rng.choice(WIDTH_BP, (n, 2), p=weight[site] / weight[site].sum()) + site * WIDTH_BP
            rows.append(pd.DataFrame({"a": ends.min(1), "b": ends.max(1) + 1, "type": name}))
    fragments = pd.concat(rows, ignore_index=True)
    fragments["barcode"] = (
        fragments["type"].str[0] + "AAC" + rng.integers(0, N_CELLS, len(fragments)).astype(str).astype(object)
    )
    fragments = fragments.sort_values("a", kind="stable")
    text = "".join(f"chr1\t{a}\t{b}\t{c}-1\t1\n" for a, b, c in fragments[["a", "b", "barcode"]].to_numpy())
    fragment_file, fasta = folder / "fragments.tsv.gz", folder / "genome.fa"
    fragment_file.write_bytes(gzip.compress(text.encode(), compresslevel=1))
    sequence = np.array(list("ACGT"))[bases]
    lines = ("".join(sequence[i : i + 60]) for i in range(0, n_bp, 60))
    fasta.write_text(">1\n" + "\n".join(lines) + "\n")
    names = [f"{name[0]}AAC{i}" for name in depths for i in range(N_CELLS)]
    obs = pd.DataFrame({"type": np.repeat(list(depths), N_CELLS)}, index=names)
    sites = pd.DataFrame(
        {"chrom": "chr1", "start": start, "end": start + CORE_BP, "strand": np.where(minus, "-", "+")}
    )
    return ad.AnnData(obs=obs), fragment_file, fasta, sites


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--bias-sd", type=float, default=0.7)
    parser.add_argument("--fragments", type=int, default=300_000)
    parser.add_argument("--wide", action="store_true")
    options = parser.parse_args()
    parts, seconds = [], []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore", AnnatacWarning)
            adata, fragment_file, fasta, sites = simulate(
                Path(folder),
                seed=seed,
                bias_sd=options.bias_sd,
                wide=options.wide,
                n_fragments=options.fragments,
            )
            begin = time.perf_counter()
            result = footprints(adata, fragment_file, sites, groupby="type", fasta=fasta)
            seconds.append(time.perf_counter() - begin)
        parts.append(result.table().assign(seed=seed))
    table = pd.concat(parts)
    table["planted"] = table["cell_type"].map(DEPTHS)
    table["error"] = (table["depth"] - table["planted"]).abs()
    table["relative_error"] = table["error"] / table["planted"].where(table["planted"] > 0)
    table["within"] = table["relative_error"] <= 0.1
    table["by_chance"] = 2 * norm.cdf(0.1 * table["planted"] / table["depth_se"]) - 1
    table["z"] = (table["depth"] - table["planted"]) / table["depth_se"]
    summary = table.groupby("planted").agg(
        corrected=("depth", "mean"),
        sd=("depth", "std"),
        worst_error=("error", "max"),
        worst_relative_error=("relative_error", "max"),
        uncorrected=("depth_uncorrected", "mean"),
        uncorrected_sd=("depth_uncorrected", "std"),
        depth_se=("depth_se", "mean"),
        rms_z=("z", lambda z: np.sqrt(np.mean(z**2))),
        within_a_tenth=("within", "mean"),
        if_counting_alone=("by_chance", "mean"),
    )
    print(summary.round(3).to_string())
    print(f"{np.mean(seconds):.1f} s a run ({4 * options.fragments:,} fragments, 400 sites)")
    record = {
        "date": str(date.today()),
        "command": vars(options),
        "seconds": round(float(np.mean(seconds)), 2),
    }
    record["table"] = json.loads(summary.reset_index().round(4).to_json(orient="records"))
    suffix = ("_wide" if options.wide else "") + ("_few" if options.fragments < 300_000 else "")
    name = RESULTS.with_stem(RESULTS.stem + suffix)
    name.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
