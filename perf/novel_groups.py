"""In which space novel cells fall into their types, and who is right where a label and its cluster differ.

    python perf/novel_groups.py

Two or three types are left out of the reference at a time (Schep 2017: four draws of three; Granja 2019: two
pairs, of 4,000 cells); the model learns from two thirds of the other types' cells, and the query is the rest of
them with all cells of the types left out. Groups: Leiden on the cells of these types, as if all had been called
novel, so that the figures are of the grouping alone; adjusted mutual information with the true types. Conflicts:
cells of known types whose cluster (of all cells) has a majority for another label. The space and the resolutions
were chosen here, on Schep; Granja only confirms. Seed 0.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.preprocessing import normalize

import annatac
from annatac import keys
from annatac.annotate.fit import finetune
from annatac.benchmark import sets
from annatac.tl.communities.cell_graph import leiden, lsi
from annatac.tl.communities.label_consensus import consensus

RESULTS = Path(__file__).parent / "results"
RESOLUTIONS = (0.25, 0.5, 1.0)
GRANJA = (("17_B", "25_NK"), ("22_CD4.M", "07_GMP"))


def query_without(name: str, left_out: tuple[str, ...], n_cells: int | None, seed: int) -> Any:
    """Return annotated cells, those of the types left out of the reference marked in ``obs['left_out']``."""
    adata = sets.load(name)
    random = np.random.default_rng(seed)
    if n_cells is not None:
        adata = adata[np.sort(random.choice(adata.n_obs, n_cells, replace=False))].copy()
    is_out = adata.obs[sets.TRUTH].isin(left_out).to_numpy()
    is_reference = ~is_out & (random.random(adata.n_obs) < 2 / 3)
    query = adata[~is_reference].copy()
    with tempfile.TemporaryDirectory() as folder:
        model = finetune(
            adata[is_reference].copy(), label_key=sets.TRUTH, output=Path(folder) / "model", seed=0
        )
        annatac.tl.annotate(query, model)
    query.obs["left_out"] = is_out[~is_reference]
    return query


def judge(query: Any) -> list[dict[str, Any]]:
    """Return figures of both spaces: agreement of groups, and who is right in conflicts."""
    truth = query.obs[sets.TRUTH].astype(str).to_numpy(dtype=object)
    is_out = query.obs["left_out"].to_numpy()
    counts = sp.csr_matrix(query.X)
    spaces = {"X_annatac": normalize(query.obsm[keys.EMBEDDING]), "LSI": lsi(counts)}
    label = query.obs[keys.LABEL].astype(str).to_numpy(dtype=object)
    rows = []
    for space, places in spaces.items():
        row: dict[str, Any] = {"space": space, "n_left_out": int(is_out.sum())}
        for resolution in RESOLUTIONS:
            groups = leiden(places[is_out], resolution=resolution)
            row[f"ami_{resolution:g}"] = float(adjusted_mutual_info_score(truth[is_out], groups))
            row[f"groups_{resolution:g}"] = int(groups.max() + 1)
        cluster = leiden(places, resolution=2.0).astype(str).astype(object)
        agreed = consensus(cluster, label, query.obs[keys.CONFIDENCE].to_numpy(dtype=float), 0.5).label
        differs = (agreed != "") & (agreed != label) & ~is_out
        row["n_conflicts"] = int(differs.sum())
        row["label_right"] = int((label == truth)[differs].sum())
        row["cluster_right"] = int((agreed == truth)[differs].sum())
        rows.append(row)
    return rows


def main() -> None:
    warnings.simplefilter("ignore")
    types = sorted(set(sets.load("schep2017_lines").obs[sets.TRUTH].astype(str)))
    random = np.random.default_rng(0)
    runs = [
        ("schep2017_lines", tuple(map(str, random.choice(types, 3, replace=False))), None) for _ in range(4)
    ]
    runs += [("granja2019_bmmc_d6t1", left_out, 4000) for left_out in GRANJA]
    rows = []
    for i, (name, left_out, n_cells) in enumerate(runs):
        for row in judge(query_without(name, left_out, n_cells, seed=i)):
            rows.append({"set": name, "left_out": ", ".join(left_out), **row})
        print(pd.DataFrame(rows[-2:]).round(2).to_string(index=False), flush=True)
    table = pd.DataFrame(rows)
    groups = table.groupby(["set", "space"], sort=False)
    print(groups[[f"ami_{resolution:g}" for resolution in RESOLUTIONS]].mean().round(2).to_string())
    print(groups[["n_conflicts", "label_right", "cluster_right"]].sum().to_string())
    (RESULTS / "novel_groups.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
