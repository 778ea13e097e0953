"""The picture of a report for the documentation, taken in headless Chromium.

annatac demo -o demo && annatac report demo/annotated.h5ad -o report.html --truth cell_type --by donor
python perf/report_picture.py report.html docs/images/report.png
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path

DRIVER = Path(__file__).parents[1] / "tests" / "report" / "browser.py"


def main(page: Path, picture: Path) -> None:
    """Open the page at its map and save what is seen."""
    spec = importlib.util.spec_from_file_location("browser", DRIVER)
    assert spec is not None
    assert spec.loader is not None
    driver = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(driver)
    with tempfile.TemporaryDirectory() as profile:
        browser = driver.Browser(Path(profile))
        try:
            browser.open(page, width=1180, height=1080)
            browser.run("document.getElementById('map').scrollIntoView({behavior: 'instant'})")
            browser.settle()
            browser.screenshot(picture)
        finally:
            browser.close()
    print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
