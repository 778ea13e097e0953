"""Write the card of `human-blood` from what was measured: python models/human_blood_card.py FOLDER

Reads perf/results/human_blood.json, which `python perf/human_blood.py` writes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from annatac import load
from annatac.errors import ModelError

FIGURES = Path(__file__).parents[1] / "perf" / "results" / "human_blood.json"
SETS = {
    "granja": "Granja 2019 marrow, hg19, 10 types (MIT)",
    "granja, hg38": "the same, peaks lifted to hg38",
    "bm0828": "BM0828, hg19, 5 merged types, sorted (GPL: test only)",
    "bm0828, hg38": "the same, peaks lifted to hg38",
    "pbsmall": "sorted B, monocytes, T: fragments of two chromosomes, hg19 (MIT)",
    "calderon": "sorted T cells, bulk thinned to cells, 13,730 peaks, hg38 (GPL: test only)",
    "neurips": "NeurIPS 2021 marrow, 599 peaks, hg38 (MIT)",
}
CARD = """# human-blood

Names cells of human blood and marrow from scATAC-seq on hg19 or hg38, without labelled cells of your own:
`annatac annotate QUERY --model human-blood -o out.h5ad`.

- **Types** ({n_types}): {types}.
- **Data.** {n_cells:,} **simulated** cells, {per} a type, drawn from bulk ATAC of sorted blood types (Corces 2016:
  public, GEO; the three GMP stages averaged) in the {n_peaks:,} peaks that tell the types apart best, {n_islands:,}
  islands of 5 kb. Training started from `human-base`. Real cells set nothing but how sure the model is: {n_real:,}
  of Granja 2019 marrow (from an MIT package), single and added up.
- **Licences.** No GPL source went in; the weights are BSD-3-Clause like the package.
- **hg38.** {n_places:,} of the peaks have a place there, found once by UCSC's chain file, which is not in the package.
- **Measured on real cells**, of which none taught it a type, though its settings were chosen
  with Granja and BM0828 in sight (`python perf/human_blood.py`, model {model_id}).
  Macro-F1 counts types that are called and are not there. The confidence on Granja was set on these cells.

| cells | n | known open islands, median | accuracy / macro-F1 | most frequent type | mean confidence | called novel |
|---|---|---|---|---|---|---|
{rows}

- **Where it fails.** Types that it lacks get the nearest name: precursors of B cells (9 % of Granja's cells, counted
  as wrong), plasma cells, subsets of T cells and monocytes. Siblings are mixed up: CD4 with CD8 T cells; GMP are
  called monocytes, CMP (no profile) and LMPP their neighbours, and MEP of BM0828 HSC or MPP. It is too sure on
  BM0828, and calls stimulated and memory T cells novel. On the 599 peaks of the NeurIPS sample it is no better than
  chance. A labelled reference of your own tissue does better by far: with labels of the same donor the default recipe
  has 0.885 / 0.856 on Granja. Not measured: whole-genome droplet data, disease, cord blood, children.
- Rebuilt by `make models` (`models/human_blood.py`).
"""


def row(figures: dict[str, float]) -> str:
    """Return one set's row."""
    what = SETS[str(figures["set"])]
    if "refused" in figures:
        return f"| {what} | {figures['cells']:,} | | refused: too few known islands | | | |"
    return (
        f"| {what} | {figures['cells']:,} | {figures['median_open']:,.0f} | {figures['accuracy']:.3f} / "
        f"{figures['macro_f1']:.3f} | {figures['most_frequent']:.3f} | {figures['confidence']:.3f} | "
        f"{figures['novel']:.3f} |"
    )


def main() -> None:
    folder = Path(sys.argv[1])
    artifact = load(folder).artifact
    measured = json.loads(FIGURES.read_text())
    if measured["model"] != artifact.model_id:
        raise ModelError(
            f"{FIGURES} is of model {measured['model']}, {folder} holds {artifact.model_id}: measure again."
        )
    n_cells = artifact.training["n_cells"]
    places = artifact.places["hg38"]
    card = CARD.format(
        types=", ".join(artifact.classes),
        n_types=len(artifact.classes),
        n_cells=n_cells,
        per=n_cells // len(artifact.classes),
        n_peaks=len(places),
        n_islands=len(artifact.universe),
        n_real=artifact.calibration["n_held_out"],
        n_places=int((places["position"] >= 0).sum()),
        model_id=artifact.model_id,
        rows="\n".join(row(one) for one in measured["rows"]),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
