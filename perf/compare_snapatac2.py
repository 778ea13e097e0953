"""Fragments to islands and to peaks: annatac and SnapATAC2 2.9, each in processes of its own, one thread each.

    python perf/compare_snapatac2.py --python VENV/bin/python        # a Python that has snapatac2

5,946,068 real fragments (Calderon 2019, chr12 and chr21, 33 samples as barcodes, hg38) become cells x 5-kb bins
and cells x the 10,000 peaks of Granja 2019 (hg19 positions: only where they lie matters here). Both count
insertions; every barcode is kept. SnapATAC2 first imports the fragments (unsorted by barcode, as they come),
which both of its counts need. The time starts after the imports of the packages.
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

RESULTS = Path(__file__).parent / "results"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS"), "1")


def ours(fragments: str, peaks: str | None) -> str:
    from annatac.io import read_one

    began = time.perf_counter(), time.process_time()
    x = read_one(fragments, min_fragments=1, peaks=peaks).X
    return _found(began, x)


def theirs(fragments: str, peaks: str | None) -> str:
    import snapatac2

    began = time.perf_counter(), time.process_time()
    cells = snapatac2.pp.import_fragments(
        fragments, snapatac2.genome.hg38, min_num_fragments=1, sorted_by_barcode=False, n_jobs=1
    )
    if peaks is None:
        snapatac2.pp.add_tile_matrix(
            cells, bin_size=5_000, counting_strategy="insertion", exclude_chroms=None, n_jobs=1
        )
    else:
        cells = snapatac2.pp.make_peak_matrix(cells, peak_file=Path(peaks), counting_strategy="insertion")
    return _found(began, cells.X)


def _found(began: tuple[float, float], x: object) -> str:
    import resource

    content = {
        "wall_s": time.perf_counter() - began[0],
        "cpu_s": time.process_time() - began[1],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "entries": int(x.nnz),  # type: ignore[attr-defined]
        "insertions": int(x.sum()),  # type: ignore[attr-defined]
    }
    return json.dumps(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--python", help="interpreter of an environment with snapatac2")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        who, fragments, *peaks = options.worker
        print({"annatac": ours, "SnapATAC2": theirs}[who](fragments, peaks[0] if peaks else None))
        return
    from annatac import datasets

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bed = Path(folder) / "peaks.bed"
        names = datasets.load("granja2019_bmmc_d6t1").var_names.str.extract(r"(.+):(\d+)-(\d+)")
        names.drop_duplicates().to_csv(bed, sep="\t", header=False, index=False)
        fragments = str(datasets.path("calderon2019_fragments"))
        pythons = {"annatac": sys.executable} | ({"SnapATAC2": options.python} if options.python else {})
        print(
            f"{'':12s} {'into':12s} {'wall s':>8s} {'CPU s':>8s} {'peak MB':>8s} {'entries':>10s} {'insertions':>11s}"
        )
        for into, extra in (("5-kb islands", []), ("Granja peaks", [str(bed)])):
            runs: dict[str, list[dict[str, float]]] = {who: [] for who in pythons}
            for _ in range(options.runs):
                for who, python in pythons.items():
                    command = [python, __file__, "--worker", who, fragments, *extra]
                    done = subprocess.run(
                        command, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=True
                    )
                    runs[who].append(json.loads(done.stdout.splitlines()[-1]))
            for who, found in runs.items():
                row = {name: statistics.median(run[name] for run in found) for name in found[0]}
                rows.append({"who": who, "into": into, **row})
                print(
                    f"{who:12s} {into:12s} {row['wall_s']:8.2f} {row['cpu_s']:8.2f} {row['peak_mb']:8.0f} "
                    f"{row['entries']:10.0f} {row['insertions']:11.0f}"
                )
    content = {"runs": options.runs, "cores": os.cpu_count(), "rows": rows}
    (RESULTS / "compare_snapatac2.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
