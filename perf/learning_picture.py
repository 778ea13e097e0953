"""The picture of docs/pretraining.md: what a base gives, epoch by epoch (the paper's ablation of pre-training).

    python perf/learning_picture.py

20 cells of each of Granja's ten coarse types (seed 0), half of them held out; the encoder and its head alone
(`model.wide=false`, batches of 16, 30 epochs), once without a base and once from `human-base`, which holds no single
cell; and the default recipe, which has the wide path as well. Then `annatac plot learning`.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np

from annatac import datasets, jobs
from annatac.train.runlog import FILE, read_run_log

IMAGES = Path(__file__).parents[1] / "docs" / "images"
N_CELLS = 20
ALONE = """model: {wide: false}
finetune: {epochs: 30, batch_size: 16, validation_fraction: 0.5, patience: 30}
"""
DEFAULT = """finetune: {epochs: 30, batch_size: 16, validation_fraction: 0.5, patience: 30}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, default=IMAGES / "pretraining_curves.png")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    adata = datasets.load("granja2019_bmmc_d6t1")
    labels = adata.obs["cell_type_coarse"].astype(str).to_numpy()
    random = np.random.default_rng(0)
    rows = [random.permutation(np.flatnonzero(labels == name))[:N_CELLS] for name in np.unique(labels)]
    names, models = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        adata[np.sort(np.concatenate(rows))].copy().write_h5ad(folder / "cells.h5ad")
        for what, recipe in (("encoder", ALONE), ("whole", DEFAULT)):
            (folder / f"{what}.yaml").write_text(recipe)
            for base in (None, "human-base"):
                models.append(folder / f"{what}-{base}")
                jobs.finetune(
                    [folder / "cells.h5ad"], models[-1], label_key="cell_type_coarse", hierarchy="none",
                    recipe=folder / f"{what}.yaml", base=base, keep_reference=False,
                )  # fmt: skip
                names.append(f"{what}, {base or 'no base'}")
        for name, model in zip(names, models, strict=True):
            epochs = [event for event in read_run_log(model / FILE) if event["event"] == "epoch"]
            first = next(event for event in read_run_log(model / FILE) if event["event"] == "start")
            shown = {
                when: {figure: round(event[f"valid_{figure}"], 3) for figure in ("accuracy", "macro_f1")}
                for when, event in (("before training", first), ("last epoch", epochs[-1]))
            }
            print(name, shown)
        print("Written:", jobs.plot_learning(models, options.output, names=names))


if __name__ == "__main__":
    main()
