"""Build the ready model `human-blood`: python models/human_blood.py -o src/annatac/models/human-blood

Cells are drawn from bulk ATAC of sorted blood types (Corces 2016, the three GMP stages averaged) in the peaks that
tell these types apart best, by `annatac.simulate`; the default recipe learns from them, started from `human-base`.
Simulated cells are easier than real ones, so confidence, sets and novelty are set on real ones: Granja 2019, single and
added up by 3, 10 and 30 for depth. Last, the model learns where its peaks lie in hg38.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize
from scipy.special import log_softmax

import annatac
from annatac import datasets, simulate
from annatac.annotate import Annotator
from annatac.annotate.calibration import Calibration
from annatac.annotate.depth import LogDepth
from annatac.annotate.evidence import evidence_of
from annatac.annotate.novelty import Surprise
from annatac.annotate.trust import Trust, doublet_statistics, novelty_statistics
from annatac.cli.allocator import keep_memory
from annatac.config import Recipe
from annatac.simulate import CellStatistics, Profiles
from annatac.simulate.profiles import TYPE_KEY

TYPES = {
    "CD4": "CD4 T",
    "CD8": "CD8 T",
    "Ery": "Erythroid",
    "GMP-A": "GMP",
    "GMP-B": "GMP",
    "GMP-C": "GMP",
    "Mega": "Megakaryocyte",
    "Mono": "Monocyte",
}
N_PEAKS = 90_000  # as many as 15 MB can hold
BACKGROUND = 0.3  # share of a cell's fragments from the mean of all types: ambient DNA, neighbours
OPEN_ISLANDS = (30, 8000)  # of a cell, log-uniform: from a few hundred fragments to deep plates
BATCHES, BATCH_EFFECT = 4, 0.3  # whole simulated batches are held out, to choose the epoch
EPOCHS = 5
REAL = "granja2019_bmmc_d6t1"
REAL_TYPES = {"CMP/LMPP": "LMPP", "Mono": "Monocyte"}  # Pre-B has no profile
ADDED_UP = (1, 3, 10, 30)  # real cells of a type that are added up to one
MOST_REAL = 2000  # cells of each of these


def profiles() -> Profiles:
    """Return the sorted types over their most telling peaks."""
    bulk = datasets.load_profiles("hema_bulk16")
    bulk.obs[TYPE_KEY] = [TYPES.get(name, name) for name in bulk.obs[TYPE_KEY].astype(str)]
    found = simulate.as_profiles(bulk, merge=True)
    chosen = np.sort(np.argsort(-information(found), kind="stable")[:N_PEAKS])
    return replace(
        found, signal=found.signal[:, chosen], peaks=found.peaks.iloc[chosen].reset_index(drop=True)
    )


def information(of: Profiles) -> np.ndarray:
    """Return how much a fragment in each peak tells of the type: rate times squared log ratio, over the types."""
    rate = of.signal.toarray().astype(np.float64)
    rate /= rate.sum(1, keepdims=True)
    rate = (1 - BACKGROUND) * rate + BACKGROUND * rate.mean(0)
    logs = np.log(np.maximum(rate, 1e-300))
    return np.asarray((rate * (logs - logs.mean(0)) ** 2).sum(0))


def real_cells(model: Annotator) -> tuple[sp.csr_matrix, np.ndarray]:
    """Return labelled real cells as tokens of the model, single and added up, and their types 0..C-1."""
    cells = datasets.load(REAL)
    names = cells.obs["cell_type_coarse"].astype(str).replace(REAL_TYPES).to_numpy()
    cells = cells[np.isin(names, model.classes)].copy()
    types = np.array([model.classes.index(name) for name in names if name in model.classes])
    tokens, _ = model.tokens(cells)
    random = np.random.default_rng(0)
    parts, labels = [], []
    for size in ADDED_UP:
        groups = [random.permutation(np.flatnonzero(types == one)) for one in np.unique(types)]
        groups = [g[: len(g) // size * size].reshape(-1, size) for g in groups]
        rows = np.concatenate(groups)
        rows = rows[random.permutation(len(rows))[:MOST_REAL]]
        member = sp.csr_matrix(
            (np.ones(rows.size), rows.ravel(), np.arange(0, rows.size + 1, size)), (len(rows), len(types))
        )
        part = sp.csr_matrix(member @ (tokens > 0).astype(np.float64))
        part.data = np.minimum(part.data, 5)
        parts.append(part.astype(np.uint8))
        labels.append(types[rows[:, 0]])
    return sp.csr_matrix(sp.vstack(parts)), np.concatenate(labels)


def trusted(model: Annotator) -> Annotator:
    """Return the model with confidence, sets, novelty and doublets as they are among real cells.

    Of the calibration only the scale is fitted, and how it depends on depth: an offset of a type would be that of
    this one marrow.
    """
    tokens, labels = real_cells(model)
    found = model.predict(tokens, device="cpu")
    depth = LogDepth.fit(found.n_open)
    z = depth(found.n_open)

    def loss(a: np.ndarray) -> float:
        logits = found.logits * np.exp(a[0] + a[1] * z)[:, None]
        return -float(log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())

    log_scale, slope = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    calibration = Calibration(
        log_scale=float(log_scale), depth_slope=float(slope), offsets=(0.0,) * len(model.classes), depth=depth
    )
    probabilities = calibration.probabilities(found.logits, found.n_open)
    assert model.trust is not None
    tables = model.trust.log_ratios, model.trust.log_background
    evidence = evidence_of(tokens, *tables)
    trust = Trust(
        calibration=calibration,
        set_probabilities=probabilities[np.arange(len(labels)), labels],
        set_labels=labels,
        novelty=Surprise.fit(novelty_statistics(found.decision, evidence), found.n_open),
        doublets=Surprise.fit(doublet_statistics(evidence), found.n_open),
        log_ratios=tables[0],
        log_background=tables[1],
    )
    artifact = replace(model.artifact, calibration=trust.to_dict(), held_out=trust.tensors())
    return Annotator(artifact)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=160, help="drawn cells a type")
    options = parser.parse_args()
    keep_memory()
    statistics = CellStatistics(open_islands=np.geomspace(*OPEN_ISLANDS, 201), second_insertion=0.5)
    cells = simulate.from_bulk(
        profiles(),
        options.cells,
        statistics=statistics,
        background=BACKGROUND,
        batches=BATCHES,
        batch_effect=BATCH_EFFECT,
        seed=0,
    )
    recipe = Recipe.load("default")
    with tempfile.TemporaryDirectory() as folder:
        model = annatac.finetune(
            cells,
            label_key=TYPE_KEY,
            batch_key="batch",
            base="human-base",
            recipe=replace(recipe, finetune=replace(recipe.finetune, epochs=EPOCHS)),
            output=Path(folder) / "model",
            keep_reference=False,
            seed=0,
            device="cpu",
        )
    model = trusted(model).with_places(datasets.path("hg19_to_hg38_chain"), "hg38")
    model.save(options.output, overwrite=True)


if __name__ == "__main__":
    main()
