"""Whether a planted differentiation comes out: `python perf/trajectory.py` (simulated cells, seeds 0 to 9).

1,000 cells on a line of true time, in three stages, 2,000 peaks of which 300 change; depth doubles along the line. The
embedding is a TF-IDF SVD of the same counts. Printed and written to perf/results/trajectory.json: Spearman of
pseudo-time and true time; planted peaks that are found at FDR 5 %, and false ones among the found; the same
after the pseudo-time is shuffled; and the seconds of the test of 200,000 peaks in 20,000 cells.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import spearmanr

from annatac import keys, tl
from annatac.train.positions import inverse_document_frequency, tf_idf

N_CELLS, N_PEAKS, N_PLANTED = 1000, 2000, 300


def planted(seed: int) -> ad.AnnData:
    """Return the cells of one seed."""
    random = np.random.default_rng(seed)
    true = random.random(N_CELLS)
    base = random.lognormal(0, 0.8, N_PEAKS)
    rate = np.tile(base, (N_CELLS, 1))
    rate[:, :N_PLANTED] *= 0.3 + 4 * np.exp(-0.5 * ((true[:, None] - random.random(N_PLANTED)) / 0.2) ** 2)
    rate[:, :N_PLANTED] *= base[:N_PLANTED].sum() / rate[:, :N_PLANTED].sum(1, keepdims=True)
    rate /= rate.sum(1, keepdims=True)
    depth = 500 * random.lognormal(0, 0.4, N_CELLS) * (1 + true)
    counts = sp.csr_matrix(random.poisson(rate * depth[:, None]))
    stage = np.array(["early", "middle", "late"])[np.floor(3 * true).astype(int)]
    obs = pd.DataFrame({keys.LABEL: pd.Categorical(stage), "true": true})
    obs.index = obs.index.astype(str)
    adata = ad.AnnData(counts, obs=obs)
    weighted = tf_idf(counts, inverse_document_frequency(counts)).toarray()
    u, s, _ = np.linalg.svd(weighted, full_matrices=False)
    adata.obsm[keys.EMBEDDING] = (u[:, 1:9] * s[1:9]).astype(np.float32)
    return adata


def judged(seed: int) -> dict[str, float]:
    """Return the figures of one seed."""
    adata = planted(seed)
    tl.trajectory(adata, order=["early", "middle", "late"])
    value = adata.obs[keys.PSEUDOTIME].to_numpy()
    known = np.isfinite(value)
    table = tl.trajectory_features(adata).table
    found = set(table.index[table["fdr"] <= 0.05].astype(int))
    n_true = len([peak for peak in found if peak < N_PLANTED])
    shuffled = value.copy()
    shuffled[known] = np.random.default_rng(seed).permutation(value[known])
    adata.obs["shuffled"] = shuffled
    null = tl.trajectory_features(adata, pseudotime="shuffled").table
    tl.diffusion_pseudotime(adata, root="early", key_added="dpt")
    return {
        "seed": seed,
        "spearman": float(spearmanr(value[known], adata.obs["true"][known]).statistic),
        "spearman_diffusion": float(spearmanr(adata.obs["dpt"], adata.obs["true"]).statistic),
        "planted_found": n_true / N_PLANTED,
        "false_among_found": (len(found) - n_true) / len(found),
        "found_when_shuffled": int((null["fdr"] <= 0.05).sum()),
    }


def seconds(n_cells: int, n_peaks: int, n_open: int) -> float:
    """Return the seconds of the test of many peaks in many cells."""
    random = np.random.default_rng(0)
    columns = random.integers(0, n_peaks, (n_cells, n_open)).astype(np.int32)
    indptr = np.arange(0, n_cells * n_open + 1, n_open)
    counts = sp.csr_matrix((np.ones(columns.size, np.int32), columns.ravel(), indptr), (n_cells, n_peaks))
    counts.sum_duplicates()
    adata = ad.AnnData(counts, obs=pd.DataFrame({keys.PSEUDOTIME: 100 * random.random(n_cells)}))
    adata.obs_names = adata.obs_names.astype(str)
    start = time.perf_counter()
    tl.trajectory_features(adata)
    return time.perf_counter() - start


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=10)
    options.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "trajectory.json")
    chosen = options.parse_args()
    table = pd.DataFrame([judged(seed) for seed in range(chosen.seeds)])
    took = seconds(20_000, 200_000, 2_000)
    result = {"seeds": table.to_dict("records"), "mean": table.mean().to_dict(), "seconds_20000x200000": took}
    chosen.output.write_text(json.dumps(result, indent=2) + "\n")
    print(table.round(3).to_string(index=False))
    print(table.drop(columns="seed").agg(["mean", "min", "max"]).round(3).to_string())
    print(f"20,000 cells x 200,000 peaks, 2,000 open a cell: {took:.1f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
