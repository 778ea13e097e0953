"""Draw the pictures of docs/confidence.md: Schep 2017, the K562 cells left out of the reference.

    python perf/trust_pictures.py [--keep FOLDER]

The default recipe learns from two thirds of the cells of the other lines (stratified, seed 0) and names the third and
all K562 cells, which it has never seen. The pictures are drawn by `annatac plot` and `annatac embed`; reliability is
that of the cells of known lines alone.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import anndata as ad
import numpy as np

import annatac
from annatac.cli import main as command
from novelty import cells_of, split

IMAGES = Path(__file__).parents[1] / "docs" / "images"
NOVEL = "K562 Erythroleukemia"


def annotated(path: Path) -> None:
    """Write the cells that the model has not seen, annotated."""
    cells = cells_of("schep")
    train, test = split("schep", cells, (cells.obs["cell_type"] == NOVEL).to_numpy())
    with tempfile.TemporaryDirectory() as folder:
        model = annatac.finetune(cells[train].copy(), label_key="cell_type", output=Path(folder) / "model")
    query = cells[test].copy()
    annatac.tl.annotate(query, model)
    query.obs["cell_type"] = np.asarray(query.obs["cell_type"], dtype=str)
    query.write_h5ad(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--keep", type=Path, help="folder that keeps the annotated cells, to draw them again")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        folder = options.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        cells = folder / "annotated.h5ad"
        if not cells.is_file():
            annotated(cells)
        known, truth = folder / "known.h5ad", ["--truth", "cell_type"]
        of_known = ad.read_h5ad(cells)
        of_known[of_known.obs["cell_type"].astype(str) != NOVEL].write_h5ad(known)
        for arguments in (
            ["embed", str(cells)],
            ["plot", "sankey", str(cells), *truth, "-o", str(IMAGES / "trust_sankey.png")],
            [
                "plot",
                "umap",
                str(cells),
                "--color",
                "annatac_confidence",
                "-o",
                str(IMAGES / "trust_umap.png"),
            ],
            ["plot", "novelty", str(cells), "-o", str(IMAGES / "trust_novelty.png")],
            ["plot", "risk-coverage", str(cells), *truth, "-o", str(IMAGES / "trust_risk_coverage.png")],
            ["plot", "reliability", str(known), *truth, "-o", str(IMAGES / "trust_reliability.png")],
        ):
            print("annatac", *arguments, flush=True)
            if command(arguments):
                raise SystemExit("the command failed")


if __name__ == "__main__":
    main()
