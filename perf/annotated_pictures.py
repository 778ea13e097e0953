"""Draw the pictures of docs/trajectories.md and docs/why.md, of cells that the default recipe annotated.

python perf/attribution.py --keep half     # trains on one half of Granja, annotates the other (two minutes)
python perf/annotated_pictures.py half     # the commands of both pages (a minute)
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from annatac import datasets
from annatac.cli import main as annatac

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WAY = ["01_HSC", "07_GMP", "11_CD14.Mono.1"]


def main(kept: Path) -> None:
    """Run the commands on the kept model and cells."""
    genes = str(datasets.path("hg19_genes"))
    order = [word for name in WAY for word in ("--order", name)]
    with tempfile.TemporaryDirectory() as name:
        folder, cells = Path(name), str(Path(name) / "annotated.h5ad")
        shutil.copy(kept / "annotated.h5ad", cells)
        for arguments in (
            ["embed", cells],
            [
                "trajectory",
                cells,
                *order,
                "--gtf",
                genes,
                "--plot",
                f"{folder}/trajectory.png",
                "--heatmap",
                f"{folder}/trajectory_peaks.png",
            ],
            [
                "explain",
                cells,
                "--model",
                str(kept / "model"),
                "--type",
                "17_B",
                "--gtf",
                genes,
                "--plot",
                f"{folder}/why_b_cells.png",
            ],
        ):
            print("annatac", *arguments)
            if annatac(arguments):
                raise SystemExit("the command failed")
        for picture in folder.glob("*.png"):
            shutil.copy(picture, IMAGES / picture.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
