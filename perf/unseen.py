"""What the default recipe and a linear model say of cells that they have not seen, kept for more than one script."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold

import annatac
from annatac.annotate.calibration import fit_calibration
from annatac.annotate.conformal import prediction_sets, thresholds
from annatac.benchmark import sets
from annatac.train.positions import inverse_document_frequency, tf_idf

NAMES = {
    "snare": "chen2019_snare_adcortex",
    "bm0828": "buenrostro2018_bm0828",
    "schep": "schep2017_lines",
    "granja": "granja2019_bmmc_d6t1",
}
RATES = (0.05, 0.10)
LINEAR = (1, 10)  # C of the logistic regressions


def folds(name: str, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return rows to train on and to judge: SNARE's libraries 09A-09F and 09G-09H, else three stratified folds."""
    cells = sets.load(NAMES[name])
    if name == "snare":
        is_test = cells.obs["batch"].isin(["09G", "09H"]).to_numpy()
        return [(np.flatnonzero(~is_test), np.flatnonzero(is_test))]
    labels = cells.obs["cell_type"].astype(str).to_numpy()
    return list(StratifiedKFold(3, shuffle=True, random_state=seed).split(labels, labels))


def unseen(name: str, seed: int, n_folds: int | None, cache: Path | None) -> dict[str, np.ndarray]:
    """Return what the judged cells of all folds (or the first ``n_folds``) get, pooled.

    ``classes`` (C,); ``labels`` (n,), the true type as its number, -1 of a type that the training cells lack;
    ``n_open`` (n,); ``annatac``, ``logistic regression (C=...)`` (n, C) logits; ``probabilities`` (n, C) as annatac
    calibrates them; ``shipped RATE`` bool (n, C), its prediction sets; ``shipped RATE, logistic regression (C=...)``
    likewise (:func:`linear_outputs`).
    """
    found = []
    for fold, (train, test) in enumerate(folds(name, seed)[:n_folds]):
        path = None if cache is None else cache / f"{name}_{seed}_{fold}.npz"
        if path is not None and path.is_file():
            found.append(dict(np.load(path)))
            continue
        found.append(_outputs(name, train, test, seed))
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, **found[-1])
    classes = found[0].pop("classes")
    assert all((one.pop("classes", classes) == classes).all() for one in found)
    return {key: np.concatenate([one[key] for one in found]) for key in found[0]} | {"classes": classes}


def _outputs(name: str, train: np.ndarray, test: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    cells = sets.load(NAMES[name])
    truth = cells.obs["cell_type"].astype(str).to_numpy()
    with tempfile.TemporaryDirectory() as folder:
        model = annatac.finetune(
            cells[train].copy(),
            label_key="cell_type",
            batch_key="batch" if name == "snare" else None,
            output=Path(folder) / "model",
            seed=seed,
        )
    predicted = model.predict(model.tokens(cells[test])[0])
    trust, at = model.trust, {kind: i for i, kind in enumerate(model.classes)}
    assert trust is not None
    probabilities = trust.probabilities(predicted.logits, predicted.n_open)
    return {
        "classes": np.array(model.classes),
        "labels": np.array([at.get(kind, -1) for kind in truth[test]]),
        "n_open": predicted.n_open,
        "annatac": predicted.logits,
        "probabilities": probabilities,
        **{f"shipped {rate}": prediction_sets(probabilities, trust.thresholds(rate)) for rate in RATES},
        **linear_outputs(
            sp.csr_matrix(cells.X),
            np.array([at.get(kind, -1) for kind in truth]),
            cells.obs["batch"].astype(str).to_numpy() if name == "snare" else None,
            train,
            test,
        ),
    }


def linear_outputs(
    x: sp.csr_matrix, labels: np.ndarray, batches: np.ndarray | None, train: np.ndarray, test: np.ndarray
) -> dict[str, np.ndarray]:
    """Return logits (n, C) of logistic regression on TF-IDF of all peaks, by name, and its prediction sets.

    As annatac's they come from the training cells alone: those that five folds (whole ``batches``) hold out give the
    calibration and the thresholds, by the same functions.
    """
    n_open, own, found = np.diff(x.indptr), labels[train], {}
    splits = StratifiedKFold(5, shuffle=True, random_state=0).split(own, own)
    if batches is not None:
        splits = GroupKFold(5).split(own, own, batches[train])
    parts, n_types = list(splits), int(own.max()) + 1
    for c in LINEAR:
        name, logits = f"logistic regression (C={c})", np.zeros((len(train), n_types))
        known = np.zeros(len(train), dtype=bool)
        for rest, held in parts:
            kinds, values = decisions(x, own[rest], train[rest], train[held], c)
            logits[held] = values.min()  # of a type that the rest lacks
            logits[np.ix_(held, kinds)] = values
            known[held] = np.isin(own[held], kinds)
        calibration = fit_calibration(logits[known], own[known], n_open[train[known]])
        p = calibration.probabilities(logits[known], n_open[train[known]])
        p = p[np.arange(len(p)), own[known]]
        found[name] = decisions(x, own, train, test, c)[1]
        judged = calibration.probabilities(found[name], n_open[test])
        for rate in RATES:
            sets_of_types = prediction_sets(judged, thresholds(p, own[known], n_types, rate))
            found[f"shipped {rate}, {name}"] = sets_of_types
    return found


def decisions(
    x: sp.csr_matrix, own: np.ndarray, train: np.ndarray, judged: np.ndarray, c: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the types that some cells are of, in order, and the decision values of others for them."""
    idf = inverse_document_frequency(x[train])
    model = LogisticRegression(C=c, max_iter=300).fit(tf_idf(x[train], idf), own)
    return model.classes_, model.decision_function(tf_idf(x[judged], idf))
