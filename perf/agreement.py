"""Our versions of published recipes against the packages themselves, on the same cells.

    annatac benchmark --setup            # once: the packages, in environments of their own
    python perf/agreement.py --output benchmark/agreement --sets schep bm0828

Prints, and writes to perf/results/agreement.json, both accuracies and the share of cells with the same call. Pairs
whose environment is missing, or that ran out of time, are left out and named. Goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from annatac.benchmark.results import read_outcome
from annatac.benchmark.runner import Limits, run_tasks
from annatac.benchmark.suite import Suite
from annatac.benchmark.tasks import Task

PAIRS = {
    "singler": "singler_live",
    "celltypist": "celltypist_live",
    "cellcano": "cellcano_live",
    "rainbow": "rainbow_live",
}
RESULT = Path(__file__).parent / "results" / "agreement.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sets", nargs="+", default=["schep", "bm0828"], help="of the suite `full`")
    parser.add_argument("--pairs", nargs="+", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--output", default="benchmark/agreement", help="folder of the tasks' results")
    parser.add_argument("--limit-minutes", type=float, default=30.0)
    arguments = parser.parse_args()
    sets = {one.name: one for one in Suite.load("full").sets}
    limits = Limits(seconds=60 * arguments.limit_minutes)
    rows = []
    for name in arguments.sets:
        for ours in arguments.pairs:
            both: list[list[dict]] = []
            for method in (ours, PAIRS[ours]):
                tasks = [
                    Task(set=sets[name], method=method, kind="split", seed=seed) for seed in arguments.seeds
                ]
                both.append(
                    [read_outcome(path) for path in run_tasks(tasks, arguments.output, limits=limits)]
                )
            rows.append(compared(name, ours, *both))
            print(line(rows[-1]), flush=True)
    old = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else []
    new = {(row["set"], row["method"]) for row in rows}
    kept = [row for row in old if (row["set"], row["method"]) not in new]
    RESULT.write_text(json.dumps(kept + rows, indent=1) + "\n", encoding="utf-8")


def compared(name: str, method: str, ours: list[dict], live: list[dict]) -> dict:
    """Return one row: means over the seeds that both ended well on."""
    row: dict = {"set": name, "method": method, "n_runs": 0}
    pairs = [(a, b) for a, b in zip(ours, live, strict=True) if a["status"] == b["status"] == "ok"]
    if not pairs:
        row["error"] = next((one["error"] for one in (*live, *ours) if one["status"] != "ok"), "")
        return row
    row["n_runs"] = len(pairs)
    for key, i in (("ours", 0), ("live", 1)):
        for metric in ("accuracy", "macro_f1"):
            row[f"{metric}_{key}"] = float(np.mean([pair[i]["scores"][metric][0] for pair in pairs]))
    row["same_call"] = float(np.mean([np.mean(calls(a) == calls(b)) for a, b in pairs]))
    row["n_cells"] = int(sum(len(calls(a)) for a, _ in pairs))
    row["within_2_points"] = abs(row["accuracy_ours"] - row["accuracy_live"]) <= 0.02
    return row


def calls(outcome: dict) -> np.ndarray:
    """Return the call of every judged cell, object (n,)."""
    cells = outcome["cells"]
    return np.array(cells["names"], dtype=object)[cells["call"]]


def line(row: dict) -> str:
    """Return a row as text."""
    if not row["n_runs"]:
        return f"{row['set']:8} {row['method']:12} not compared: {row['error'][:90]}"
    return (
        f"{row['set']:8} {row['method']:12} accuracy {row['accuracy_ours']:.3f} live {row['accuracy_live']:.3f}   "
        f"macro-F1 {row['macro_f1_ours']:.3f} live {row['macro_f1_live']:.3f}   same call {row['same_call']:.1%}"
    )


if __name__ == "__main__":
    main()
