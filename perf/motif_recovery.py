"""Planted motifs found, false ones found, and the speed of scanning: `python perf/motif_recovery.py`.

Each run makes 3,000 random sequences of 400 to 600 bp whose GC share differs from peak to peak, takes 300 GC-rich
ones as a set, and plants 3 motifs in 30 % of the set (5 % elsewhere). Motifs are random (100 of width 8 to
14): another found at FDR 5 % is false. How many of the false ones resemble a planted one is told apart,
by the bounds of annatac.tl.motifs.similarity; they count as false all the same. The sequence is simulated. The
test (more than 1.4 times enriched, the bound that there was before) was tried on seeds 0 to 19; the runs are seeds
3000 to 3019, drawn once the test was fixed. `--runs 100 --first-seed 4000` estimates the rate of false calls better
(motif_recovery_100.json). For comparison, on the same sequences: the earlier rule (any enrichment is tested, and an
estimate of 1.4 times asked for), and FDR by Benjamini and Hochberg.
Speed: all vertebrate motifs of JASPAR in 2,000 such peaks of 500 bp, one thread. Written to
perf/results/motif_recovery.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from annatac import tl
from annatac.io.motif_files import Motif, read_motifs
from annatac.tl.motifs.scores import score_table
from annatac.tl.motifs.search import Searcher
from annatac.tl.motifs.similarity import resemble
from annatac.tl.rank_sums import false_discovery_rate

N_MOTIFS, N_PLANTED, N_PEAKS, N_SET = 100, 3, 3_000, 300


def make(random: np.random.Generator, folder: Path) -> tuple[ad.AnnData, list[Motif], list[str], np.ndarray]:
    """Return peaks, motifs, the names of the planted ones, and which peaks form the set."""
    motifs = []
    for i in range(N_MOTIFS):
        width = int(random.integers(8, 15))
        counts = 100 * random.dirichlet(np.full(4, 0.15), width)
        motifs.append(Motif(id=f"m{i}", name=f"m{i}", counts=counts))
    width_bp = random.integers(400, 601, N_PEAKS)
    gc = random.beta(8, 9, N_PEAKS)
    chosen = np.zeros(N_PEAKS, dtype=bool)
    weight = np.exp(4 * gc)
    chosen[random.choice(N_PEAKS, N_SET, replace=False, p=weight / weight.sum())] = True
    parts, names, at = [], [], 0
    for i in range(N_PEAKS):
        p = [(1 - gc[i]) / 2, gc[i] / 2, gc[i] / 2, (1 - gc[i]) / 2]
        bases = random.choice(4, width_bp[i], p=p)
        for motif in motifs[:N_PLANTED]:
            if random.random() < (0.30 if chosen[i] else 0.05):
                q = motif.probabilities()
                word = np.array([random.choice(4, p=row) for row in q])
                word = word if random.random() < 0.5 else 3 - word[::-1]
                start = random.integers(0, width_bp[i] - len(word))
                bases[start : start + len(word)] = word
        parts.append(bases)
        names.append(f"chr1:{at}-{at + width_bp[i]}")
        at += int(width_bp[i])
    text = "".join(np.array(list("ACGT"))[np.concatenate(parts)])
    (folder / "g.fa").write_text(
        ">chr1\n" + "\n".join(text[i : i + 80] for i in range(0, len(text), 80)) + "\n"
    )
    adata = ad.AnnData(sp.csr_matrix((1, N_PEAKS), dtype=np.int32), var=pd.DataFrame(index=names))
    return adata, motifs, [motif.name for motif in motifs[:N_PLANTED]], chosen


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=3000)
    arguments = parser.parse_args()
    rows, p_others = [], []
    for run in range(arguments.first_seed, arguments.first_seed + arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            adata, motifs, planted, chosen = make(np.random.default_rng(run), Path(folder))
            tl.motif_scan(adata, motifs, Path(folder) / "g.fa")
            table = tl.motif_enrichment(adata, {"set": chosen})
            any_table = tl.motif_enrichment(adata, {"set": chosen}, min_log2_enrichment=0)
        called = set(table.loc[table["is_enriched"], "name"])
        at_one = set(table.loc[table["fdr"] <= 0.01, "name"])
        hochberg = set(table.loc[false_discovery_rate(table["p_value"].to_numpy()) <= 0.05, "name"])
        earlier = set(any_table.loc[any_table["is_enriched"] & (any_table["log2_enrichment"] >= 0.5), "name"])
        alike = resemble(motifs)[:, :N_PLANTED].any(axis=1)
        like_planted = {motif.name for motif, is_alike in zip(motifs, alike, strict=True) if is_alike}
        p_others.append(any_table.loc[~any_table["name"].isin(planted), "p_value"].to_numpy())
        rows.append(
            {
                "run": run,
                "planted_found": len(called & set(planted)),
                "planted": len(planted),
                "false": len(called - set(planted)),
                "false_like_planted": len((called - set(planted)) & like_planted),
                "found_by_earlier_rule": len(earlier & set(planted)),
                "false_by_earlier_rule": len(earlier - set(planted)),
                "found_at_fdr_0.01": len(at_one & set(planted)),
                "false_at_fdr_0.01": len(at_one - set(planted)),
                "found_by_hochberg": len(hochberg & set(planted)),
                "false_by_hochberg": len(hochberg - set(planted)),
                "gc": round(float(table["gc"].iloc[0]), 4),
                "gc_background": round(float(table["gc_background"].iloc[0]), 4),
            }
        )
    print(pd.DataFrame(rows).to_string(index=False))
    jaspar = read_motifs()
    start = time.perf_counter()
    searcher = Searcher([score_table(motif, np.full(4, 0.25)) for motif in jaspar], 5e-5)
    setup = time.perf_counter() - start
    bases = np.random.default_rng(0).integers(0, 5, (2_000, 501)).astype(np.uint8)
    bases = np.where(bases == 4, 0, bases).astype(np.uint8)  # 40 % A: near the GC of peaks' flanks
    bases[:, -1] = 4
    start = time.process_time()
    n_hits = sum(len(hits.motif) for hits in searcher.search(bases.ravel()))
    took = time.process_time() - start
    frame = pd.DataFrame(rows)
    result = {
        "runs": rows,
        **{name: int(frame[name].sum()) for name in frame if name not in ("run", "gc", "gc_background")},
        "runs_with_a_false_one": int((frame["false"] > 0).sum()),
        "runs_with_a_false_one_by_earlier_rule": int((frame["false_by_earlier_rule"] > 0).sum()),
        "others": int(np.concatenate(p_others).size),
        "others_p_at_most_0.05": round(float((np.concatenate(p_others) <= 0.05).mean()), 4),
        "others_p_at_most_0.001": round(float((np.concatenate(p_others) <= 0.001).mean()), 5),
        "scan_motifs": len(jaspar),
        "scan_peaks": len(bases),
        "scan_hits": n_hits,
        "scan_cpu_seconds": round(took, 2),
        "scan_setup_seconds": round(setup, 2),
        "scan_seconds_for_100000_peaks": round(took * 50 + setup, 1),
    }
    print({key: value for key, value in result.items() if key != "runs"})
    path = (
        Path(__file__).parent
        / "results"
        / ("motif_recovery.json" if arguments.runs == 20 else f"motif_recovery_{arguments.runs}.json")
    )
    path.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
