"""What the main job costs, as a user runs it: whole processes of the command line.

    python perf/main_job.py --runs 3

Fine-tunes the default recipe on the 10,335 labelled cells of Granja 2019, annotates them, and times
`annatac --help` and `import annatac`; prints wall seconds and peak memory of each whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from annatac import datasets

RESULTS = Path(__file__).parent / "results"


def measure(command: list[str]) -> tuple[float, float]:
    """Run a process to its end; return wall seconds and peak memory in MB."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    granja = str(datasets.path("granja2019_bmmc_d6t1"))
    annatac = [sys.executable, "-m", "annatac"]
    with tempfile.TemporaryDirectory() as folder:
        model, out = f"{folder}/model", f"{folder}/out.h5ad"
        steps = {
            "import annatac": [sys.executable, "-c", "import annatac"],
            "annatac --help": [*annatac, "--help"],
            "finetune": [
                *annatac,
                "finetune",
                granja,
                "-o",
                model,
                "--label-key",
                "cell_type",
                "--overwrite",
            ],
            "annotate": [*annatac, "annotate", granja, "--model", model, "-o", out],
        }
        found = {name: [measure(command) for _ in range(options.runs)] for name, command in steps.items()}
    print(f"{'step':16s} {'wall s (median, min to max)':32s} peak MB")
    rows = []
    for name, runs in found.items():
        seconds = [run[0] for run in runs]
        row = {
            "step": name,
            "wall_s": statistics.median(seconds),
            "wall_s_min": min(seconds),
            "wall_s_max": max(seconds),
            "peak_mb": max(run[1] for run in runs),
        }
        rows.append(row)
        spread = f"{row['wall_s']:.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
        print(f"{name:16s} {spread:32s} {row['peak_mb']:.0f}")
    RESULTS.mkdir(exist_ok=True)
    content = {"cores": os.cpu_count(), "runs": options.runs, "rows": rows}
    (RESULTS / "main_job.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
