"""Do annotated types have the marker peaks of true types? `python perf/marker_agreement.py` (some 10 minutes).

Granja et al. 2019, bone marrow: three folds; the default recipe learns two of them and annotates the third, so
that every cell has a label from a model that never saw it. Marker peaks of the annotated types are compared
with those of the true types (types of 300 cells or more in truth): Spearman's rank correlation over all
peaks of the signed -log10 p, the AUC and the log2 fold change, and the overlap of the 100 surest markers.
Then the known marker genes of each lineage: which of them have a peak nearby at all, and which come out.
How far the truth's own noise lets them agree is estimated too (see ``ceiling``), how far the model's own doubt does
(see ``doubt``), and what it gives to weigh the cells by their probabilities, or to leave out those without a
probability of 0.5.
Written to perf/results/marker_agreement_KEY.json; --keep FILE keeps the out-of-fold probabilities, and reads them
again. `--set chen2019_snare_adcortex` looks at another experiment. --linear uses logistic regression in place of the
model (seconds), for comparison.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.model_selection import StratifiedKFold

import annatac
from annatac import datasets, keys, tl

MIN_CELLS = 300
#: lineage -> known marker genes, and the words by which its types are found
KNOWN = {
    "B": ("CD19 MS4A1 PAX5 CD79A CD79B CD22 CD37 EBF1 BLK BANK1 CD74 TCL1A FCER2 CR2 VPREB1 IGLL5", "17_B B"),
    "Pre-B": ("CD19 PAX5 EBF1 VPREB1 VPREB3 IGLL1 CD79A CD79B RAG1 RAG2 DNTT MME", "16_Pre.B Pre-B"),
    "Monocyte": (
        "CD14 LYZ CEBPD CEBPA CEBPB S100A8 S100A9 S100A12 FCN1 VCAN CSF1R MNDA CD33 TLR2 ITGAM",
        "11_CD14.Mono.1 Mono",
    ),
    "NK": ("NKG7 GNLY KLRD1 KLRF1 NCAM1 PRF1 GZMB GZMA FCGR3A TBX21 EOMES SPON2 KLRC1 IL2RB", "25_NK NK"),
    "T CD4": ("CD3D CD3E CD3G CD4 IL7R CCR7 LEF1 TCF7 CD5 CD28 BCL11B CD6 CD247 CTLA4", "20_CD4.N1 CD4_T"),
    "GMP": ("MPO ELANE AZU1 PRTN3 CEBPA CEBPE CSF3R CTSG GFI1 SPI1 CD33 CLEC5A RETN", "07_GMP GMP"),
}
NEAR_BP = 100_000


def out_of_fold(adata, key: str, n_folds: int, seed: int, linear: bool) -> np.ndarray:
    """Return each cell's probabilities, float32 (cells, types in order), from models that have not seen it."""
    truth = adata.obs[key].astype(str).to_numpy()
    names = np.unique(truth)
    found = np.zeros((adata.n_obs, len(names)), dtype=np.float32)
    for train, held in StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(truth, truth):
        query = adata[held].copy()
        if linear:
            found[held] = _linear(adata[train], truth[train], query)
            continue
        with tempfile.TemporaryDirectory() as folder:
            model = annatac.finetune(
                adata[train].copy(), label_key=key, output=Path(folder) / "model", recipe="default", seed=seed
            )
            tl.annotate(query, model)
        order = np.argsort(np.array(query.uns[keys.UNS]["classes"], dtype=str))
        found[held] = np.asarray(query.obsm[keys.PROBABILITIES])[:, order]
        right = np.mean(names[found[held].argmax(axis=1)] == truth[held])
        print(f"fold done: accuracy {right:.3f}", flush=True)
    return found


def _linear(reference, types: np.ndarray, query) -> np.ndarray:
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfTransformer(), LogisticRegression(C=10, class_weight="balanced", max_iter=200))
    return model.fit((reference.X > 0) * 1.0, types).predict_proba((query.X > 0) * 1.0)


def ceiling(adata, key: str, f1: pd.Series, seeds: range) -> pd.DataFrame:
    """Return by type how well two samples of truly labelled cells agree that share as many cells as the labels do.

    Were every cell that the labels exchange exchanged for another one of the very same type, two sets of a type's size
    n would share the share F1 of their cells (Dice), and the rest would be fresh. Two such sets of m = n / (2 - F1)
    cells are drawn from the truly labelled ones and compared with the same background (``rho_drawn``). With a share f
    of the noise in common, rho = r + f (1 - r), r the correlation of two wholly fresh sets; r at m cells follows from
    rho_drawn, r at n cells by Spearman and Brown (``rho_fresh``), and from that ``rho_ceiling`` at n cells, and the F1
    that rho = 0.9 would need. Means over the seeds.
    """
    truth = adata.obs[key].astype(str).to_numpy()
    rows = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        for name, f in f1.items():
            mine = random.permutation(np.flatnonzero(truth == name))
            m = int(len(mine) / (2 - f))
            shared = round(f * m)
            found = []
            for members in (mine[:m], np.concatenate([mine[:shared], mine[m : 2 * m - shared]])):
                labels = pd.Series(truth.astype(object), index=adata.obs_names)
                labels[truth == name] = None
                labels.iloc[members] = name
                adata.obs["drawn"] = labels
                found.append(tl.markers(adata, "drawn", types=[name]))
            rho = spearmanr(signed(found[0], 0), signed(found[1], 0))[0]
            r_m = (rho - f) / (1 - f)
            r_n = (len(mine) / m) * r_m / (1 + (len(mine) / m - 1) * r_m)
            rows.append((name, rho, r_n, r_n + f * (1 - r_n), (0.9 - r_n) / (1 - r_n)))
    columns = ["type", "rho_drawn", "rho_fresh", "rho_ceiling", "f1_for_0.9"]
    return pd.DataFrame(rows, columns=columns).groupby("type").mean()


def doubt(adata, probabilities: np.ndarray, names: np.ndarray, seeds: range) -> pd.DataFrame:
    """Return by type how well labels agree with a truth that is drawn from the model's own probabilities.

    Were the probabilities exact, the true types would be such a draw, and nothing that the model knows could tell one
    draw from another: what the markers of its labels, and those weighed, reach there is all that this much doubt
    allows. Means over the seeds.
    """
    labels = names[probabilities.argmax(axis=1)]
    by = {"labels": tl.markers(adata, "annotated"), "weighed": tl.markers(adata, "annotated", weigh=True)}
    tables = []
    for seed in seeds:
        below = probabilities.cumsum(axis=1) < np.random.default_rng(seed).random((len(labels), 1))
        adata.obs["drawn"] = drawn = names[np.minimum(below.sum(axis=1), len(names) - 1)].astype(str)
        true = tl.markers(adata, "drawn")
        found = {how: agreement(true, one, drawn, labels) for how, one in by.items()}
        tables.append(pd.DataFrame({f"doubt_{how}": one["rho_signed_p"] for how, one in found.items()}))
        tables[-1]["doubt_f1"] = found["labels"]["f1"]
    return pd.concat(tables).groupby(level=0).mean()


def signed(found, row: int) -> np.ndarray:
    """Return -log10 p with the sign of the effect, for every peak."""
    return np.sign(found.auc[row] - 0.5) * -np.log10(np.maximum(found.p_value[row], 1e-300))


def agreement(true, annotated, truth: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Return one row a type with MIN_CELLS cells in truth."""
    rows = []
    for i, name in enumerate(true.types):
        n = int((truth == name).sum())
        if n < MIN_CELLS:
            continue
        row = {"type": name, "cells": n, "annotated": int((labels == name).sum())}
        row["f1"] = 2 * ((truth == name) & (labels == name)).sum() / (n + row["annotated"])
        if name in annotated.types:
            j = annotated.row_of(name)
            row["rho_signed_p"] = spearmanr(signed(true, i), signed(annotated, j))[0]
            row["rho_auc"] = spearmanr(true.auc[i], annotated.auc[j])[0]
            row["rho_log2fc"] = spearmanr(true.log2_fold_change[i], annotated.log2_fold_change[j])[0]
            tops = [set(found.table(name, n_top=100)["peak"]) for found in (true, annotated)]
            row["top100_shared"] = len(tops[0] & tops[1]) / max(min(map(len, tops)), 1)
        rows.append(row)
    return pd.DataFrame(rows).set_index("type")


def known_genes(found, genes: pd.DataFrame) -> dict[str, dict[str, list[str]]]:
    """Return, for each lineage's known genes, which have a peak within NEAR_BP and which have a marker peak."""
    result = {}
    for lineage, (words, names) in KNOWN.items():
        name = next(
            (n for n in names.split() if n.replace("_", " ") in found.types or n in found.types), None
        )
        if name is None:
            continue
        row = found.row_of(name if name in found.types else name.replace("_", " "))
        chosen, lists = found.is_marker()[row], {"none_near": [], "near_not_marker": [], "marker": []}
        for symbol in words.split():
            sites = genes[genes["symbol"] == symbol]
            near = np.zeros(len(found.peaks), dtype=bool)
            middle = (found.peaks["start"] + found.peaks["end"]).to_numpy() // 2
            for chrom, tss in zip(sites["chrom"], sites["tss"], strict=True):
                near |= (found.peaks["chrom"] == chrom).to_numpy() & (np.abs(middle - tss) <= NEAR_BP)
            nearest = near & (found.peaks["gene"] == symbol).to_numpy()
            if (chosen & near).any():
                best = np.flatnonzero(chosen & near)[np.argmin(found.p_value[row][chosen & near])]
                own = "nearest gene" if (chosen & nearest).any() else "within 100 kb"
                lists["marker"].append(
                    f"{symbol} ({own}, log2 fold {found.log2_fold_change[row, best]:.1f}, "
                    f"FDR {found.fdr[row, best]:.0e})"
                )
            else:
                lists["near_not_marker" if near.any() else "none_near"].append(symbol)
        result[f"{lineage}: {found.types[row]}"] = lists
    return result


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--set", default="granja2019_bmmc_d6t1", help="data set; known genes are of Granja alone"
    )
    options.add_argument("--key", default="cell_type", choices=["cell_type", "cell_type_coarse"])
    options.add_argument("--folds", type=int, default=3)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument(
        "--keep", type=Path, help="file (.npz) to keep the probabilities in, or to read them from"
    )
    options.add_argument("--linear", action="store_true")
    given = options.parse_args()
    warnings.simplefilter("ignore")
    adata = datasets.load(given.set)
    is_granja = given.set == "granja2019_bmmc_d6t1"
    genes = datasets.load("hg19_genes") if is_granja else None
    truth = adata.obs[given.key].astype(str).to_numpy()
    if given.keep and given.keep.exists():
        with np.load(given.keep) as kept:
            probabilities = kept["P"]
    else:
        probabilities = out_of_fold(adata, given.key, given.folds, given.seed, given.linear)
        if given.keep:
            np.savez(given.keep, P=probabilities)
    names = np.unique(truth)
    labels = names[probabilities.argmax(axis=1)]
    adata.obsm[keys.PROBABILITIES], adata.uns[keys.UNS] = probabilities, {"classes": names}
    adata.obs["annotated"] = labels.astype(str)
    true = tl.markers(adata, given.key, genes=genes)
    annotated = tl.markers(adata, "annotated", genes=genes)
    table = agreement(true, annotated, truth, labels)
    weighed = tl.markers(
        adata, "annotated", genes=genes, weigh=True
    )  # what `annatac markers` does with its labels
    table["rho_signed_p_weighed"] = agreement(true, weighed, truth, labels)["rho_signed_p"]
    confident = pd.Series(labels.astype(object), index=adata.obs_names).where(
        probabilities.max(axis=1) >= 0.5
    )
    adata.obs["confident"] = confident
    left = confident.fillna("").astype(str).to_numpy()
    table["rho_signed_p_confident"] = agreement(true, tl.markers(adata, "confident"), truth, left)[
        "rho_signed_p"
    ]
    table = table.join(doubt(adata, probabilities, names, range(2)))
    table = table.join(ceiling(adata, given.key, table["f1"], range(2)))
    print(f"accuracy of the out-of-fold labels {np.mean(labels == truth):.3f}")
    print(table.round(3).to_string())
    lists = known_genes(weighed, genes) if is_granja else {}
    for lineage, parts in lists.items():
        print(lineage)
        for words, symbols in parts.items():
            print(f"  {words}: {', '.join(symbols) or '-'}")
    result = {
        "set": given.set,
        "key": given.key,
        "folds": given.folds,
        "seed": given.seed,
        "labels_by": "logistic regression" if given.linear else "default recipe",
        "accuracy": round(float(np.mean(labels == truth)), 4),
        "types": table.round(4).reset_index().to_dict("records"),
        "known_genes_of_annotated_types": lists,
    }
    suffix = "" if is_granja else f"_{given.set.split('_')[1]}"
    suffix += ("_linear" if given.linear else "") + (f"_seed{given.seed}" if given.seed else "")
    out = Path(__file__).parent / "results" / f"marker_agreement_{given.key}{suffix}.json"
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
