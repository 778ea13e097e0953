"""Size of a report, the time to write it, and the time in which its map is redrawn: 50,000 made-up cells.

python perf/report_size.py
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from annatac.report import report

ROOT = Path(__file__).parents[1]
N_CELLS, N_TYPES, N_PEAKS, N_SAMPLES, N_FRAMES = 50_000, 25, 5_000, 8, 40
_REDRAWN = f"""new Promise(async done => {{
  const map = document.getElementById('map-canvas'), start = performance.now();
  document.getElementById('map-in').click();
  for (let i = 0; i < {N_FRAMES}; i++) {{
    map.dispatchEvent(new KeyboardEvent('keydown', {{ key: i % 2 ? 'ArrowLeft' : 'ArrowRight' }}));
    await new Promise(requestAnimationFrame);
  }}
  done((performance.now() - start) / {N_FRAMES});
}})"""


def _module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / "report" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Print the figures and write them to perf/results/report_size.json."""
    types = [f"cell type number {i}" for i in range(N_TYPES)]
    cells = _module("fake_cells").fake_cells(N_CELLS, types=types, n_peaks=N_PEAKS, samples=N_SAMPLES)
    driver = _module("browser")
    figures: dict[str, Any] = {"n_cells": N_CELLS, "n_types": N_TYPES, "n_peaks": N_PEAKS}
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        for words, compute_markers in (("without markers", False), ("with markers", True)):
            start = time.perf_counter()
            report(cells, page, truth_key="truth", compute_markers=compute_markers)
            figures[f"{words}: seconds"] = round(time.perf_counter() - start, 1)
            figures[f"{words}: MB"] = round(page.stat().st_size / 1e6, 2)
        if driver.chromium() is not None:
            browser = driver.Browser(Path(folder) / "profile")
            try:
                browser.open(page)
                figures["map redrawn: ms"] = round(browser.run(_REDRAWN), 1)
            finally:
                browser.close()
    for name, value in figures.items():
        print(f"{name:28}{value:>10,}")
    results = ROOT / "perf" / "results" / "report_size.json"
    results.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
