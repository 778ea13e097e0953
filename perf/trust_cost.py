"""What confidence, sets, novelty and doublets add to the time of annotating.

    python perf/trust_cost.py [--runs 5]

The ready model `human-blood` names the cells of Granja 2019 and BM0828, in turns with and without its calibration
(without: raw softmax and the paper's rule alone). Processor seconds of `annatac.tl.annotate`, the least of the runs.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import replace
from pathlib import Path

import annatac
from accuracy import RESULTS
from annatac import datasets
from annatac.annotate import Annotator
from annatac.annotate.trust import NOT_CALIBRATED

SETS = ("granja2019_bmmc_d6t1", "buenrostro2018_bm0828")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS / "trust_cost.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    whole = annatac.load("human-blood")
    plain = Annotator(replace(whole.artifact, calibration=NOT_CALIBRATED, held_out={}))
    rows = []
    for name in SETS:
        cells = datasets.load(name)
        seconds: dict[str, list[float]] = {"without": [], "with": []}
        kinds = [("without", plain, {}), ("with", whole, {"error_rate": 0.05})]
        for run in range(options.runs):
            for how, model, wish in kinds if run % 2 else kinds[::-1]:
                began = time.process_time()
                annatac.tl.annotate(cells, model, copy=True, **wish)
                seconds[how].append(time.process_time() - began)
        least = {how: min(some) for how, some in seconds.items()}
        rows.append(
            {"set": name, "cells": cells.n_obs, **least, "added": least["with"] / least["without"] - 1}
        )
        print(
            {key: round(value, 3) if isinstance(value, float) else value for key, value in rows[-1].items()}
        )
    options.output.write_text(json.dumps({"runs": options.runs, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
