"""One task in a process of its own: ``python -m annatac.benchmark.worker TASK.json RESULT.json``."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from annatac.benchmark.tasks import Task


def run_task(task: Task) -> dict[str, Any]:
    """Return the figures of one task (see :func:`annatac.benchmark.scoring.judge`), with ``fit_s`` and ``predict_s``.

    Times are wall-clock seconds of the method alone, without reading and judging.
    """
    from annatac.benchmark.method import labels_of, method
    from annatac.benchmark.protocols import prepare
    from annatac.benchmark.scoring import judge
    from annatac.benchmark.sets import TRUTH

    spec = method(task.method)
    cells = prepare(task, own_features=spec.own_features)
    known = set(labels_of(cells.reference, TRUTH))
    made = spec.make()
    began = time.perf_counter()
    made.fit(cells.reference, TRUTH, cells.batch_key, task.seed)
    fitted = time.perf_counter()
    probabilities, classes = made.predict(cells.query)
    done = time.perf_counter()
    found = judge(
        cells.truth,
        probabilities,
        classes,
        known,
        score_unknown=task.set.score_unknown,
        seed=task.seed,
    )
    found["cells"]["rows"] = cells.rows[found["cells"].pop("index")].tolist()
    n_reference = {name: int(n) for name, n in cells.reference.obs[TRUTH].value_counts().items()}
    return {
        "fit_s": fitted - began,
        "predict_s": done - fitted,
        "n_reference": cells.reference.n_obs,
        "n_reference_of_type": n_reference,
        "n_features": cells.reference.n_vars,
        **found,
    }


def main(task_path: str, result_path: str) -> None:
    """Run the task of one file and write its figures into another. Ends with the process that started it."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    task = Task.from_dict(json.loads(Path(task_path).read_text(encoding="utf-8")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = run_task(task)
    from annatac.benchmark.processes import own_peak_mb

    found["own_peak_mb"] = own_peak_mb()
    Path(result_path).write_text(json.dumps(found), encoding="utf-8")


def _end_with(parent: int) -> None:
    """Leave when the parent has died: a killed benchmark leaves no process behind."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
