"""The whole way on one page: train, annotate cells of another donor, evaluate, draw."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac.annotate.fit import finetune
from annatac.benchmark.evaluate import Evaluation, evaluate
from annatac.errors import ConfigError, LabelError, nearest, no_column
from annatac.io.atomic import atomic_dir, check_writable
from annatac.io.write import write_annotated
from annatac.jobs.annotating import labels_csv
from annatac.jobs.looking import write_json
from annatac.jobs.reading import read_checked
from annatac.pp.splits import group_split, stratified_split
from annatac.pp.validate import validate_labels
from annatac.simulate import BLOOD, simulate_cells
from annatac.tl.annotation import annotation
from annatac.tl.embedding import embed

if TYPE_CHECKING:
    from anndata import AnnData

# Large enough to look like a real experiment, small enough for two cores and two minutes.
N_CELLS, N_DONORS, N_ISLANDS, OPEN_ISLANDS = 3200, 4, 6000, 500
SIMULATED_NOVEL_TYPE = "Erythroid"
LINEAGES = ("T/NK", "Myeloid", "Erythroid", "B", "Progenitor", "pDC")  # the frequent first
MIN_NOVEL_CELLS = 20
QUERY_FRACTION = 0.3  # of real cells

FILES = {
    "model": "the model folder",
    "annotated.h5ad": "the query with labels, probabilities and embedding",
    "annotations.csv": "the labels as a table",
    "metrics.json": "how good they are",
    "umap.png": "the cells on a UMAP: true type, label, confidence",
    "confusion.png": "which type the cells of each true type got",
    "sankey.png": "the same as bands, with the novel class",
    "training.png": "loss and accuracy over the epochs",
}


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """What the demo made: its folder, the evaluation, and the seconds of each step."""

    folder: Path
    novel_type: str
    n_reference: int
    n_query: int
    evaluation: Evaluation
    seconds: dict[str, float] = field(default_factory=dict)


def demo(
    output: str | Path,
    *,
    data: str | Path | None = None,
    label_key: str | None = None,
    batch_key: str | None = None,
    novel_type: str | None = None,
    recipe: str | Path = "default",
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = False,
    on_step: Callable[[str], None] | None = None,
) -> Demonstration:
    """Train on a part of some cells, annotate the rest, which hold a type never trained on, and judge it.

    Parameters
    ----------
    output
        Folder to write, with the files of :data:`FILES`.
    data
        Labelled cells; otherwise cells are simulated, and judge nothing but that everything works.
    label_key, batch_key
        Columns of obs of ``data``: its types, and donors of which whole ones become the query. Without
        ``batch_key`` the query is a stratified share.
    novel_type
        Type that the reference is to lack; by default the smallest one of 20 cells or more.
    on_step
        Called with a line of text at each step.

    Raises
    ------
    ConfigError, LabelError
        ``data`` without ``label_key``; a type that is not there.
    OutputError
        The folder exists and ``overwrite`` is false, or it cannot be written.
    """
    check_writable(output)
    tell = on_step or (lambda text: None)
    seconds: dict[str, float] = {}
    with atomic_dir(output, overwrite=overwrite) as folder:
        with _timed(seconds, "cells"):
            reference, query, key, novel = _cells(data, label_key, batch_key, novel_type, seed, tell)
        tell(
            f"Reference: {reference.n_obs:,} cells of {reference.obs[key].nunique()} types. Query: "
            f"{query.n_obs:,} other cells, '{novel}' among them, a type that the reference lacks."
        )
        tell("Fine-tuning ...")
        with _timed(seconds, "fine-tuning"):
            model = finetune(
                reference,
                label_key=key,
                output=folder / "model",
                batch_key=_several(reference, "donor" if data is None else batch_key),
                recipe=recipe,
                seed=seed,
                device=device,
                progress=progress,
            )
        tell("Annotating ...")
        with _timed(seconds, "annotating"):
            result = annotation(query, model, device=device)
        for name, column in result.obs.items():
            query.obs[name] = column
        query.obsm.update(result.obsm)
        query.uns.update(result.uns)
        with _timed(seconds, "evaluating"):
            evaluation = evaluate(query, key)
        tell("Computing a UMAP and drawing ...")
        with _timed(seconds, "UMAP"):
            embed(query, n_neighbors=min(15, query.n_obs - 1), seed=seed)
        with _timed(seconds, "drawing"):
            _draw(query, evaluation, key, folder)
        with _timed(seconds, "writing"):
            labels_csv(result.obs).to_csv(folder / "annotations.csv", index=False)
            write_json(evaluation.to_dict(), folder / "metrics.json")
            write_annotated(
                folder / "annotated.h5ad", source=None, adata=query, obs=result.obs, obsm={}, uns={}
            )
    return Demonstration(
        folder=Path(output),
        novel_type=novel,
        n_reference=reference.n_obs,
        n_query=query.n_obs,
        evaluation=evaluation,
        seconds=seconds,
    )


def _cells(
    data: str | Path | None,
    label_key: str | None,
    batch_key: str | None,
    novel_type: str | None,
    seed: int,
    tell: Callable[[str], None],
) -> tuple[AnnData, AnnData, str, str]:
    """Return the reference, the query, the column of types, and the type that the reference lacks."""
    if data is None:
        tell(
            f"Simulating {N_CELLS:,} cells of {N_DONORS} donors. They are made up: the "
            "figures below judge nothing real."
        )
        adata = simulate_cells(
            N_CELLS,
            cell_types={name: BLOOD[name] for name in LINEAGES},
            donors=N_DONORS,
            n_islands=N_ISLANDS,
            open_islands=OPEN_ISLANDS,
            seed=seed,
        )
        key, novel_type = "cell_type", novel_type or SIMULATED_NOVEL_TYPE
        is_query = (adata.obs["donor"] == f"donor{N_DONORS}").to_numpy()
    else:
        if label_key is None:
            raise ConfigError(
                "Where are the cell types of the data? Name the column of obs with --label-key."
            )
        key = label_key
        adata = read_checked([data])
        labels = validate_labels(adata, key)
        adata = adata[labels.keep].copy()
        adata.obs[key] = labels.values
        is_query = _query_cells(adata, labels.values, batch_key, seed)
    types = adata.obs[key].astype(str)
    in_query = set(types[is_query])
    n_cells = types[types.isin(in_query)].value_counts().sort_index().sort_values(kind="stable")
    novel = _novel_type(n_cells, novel_type, key)
    reference = adata[~is_query & (types != novel).to_numpy()].copy()
    query = adata[is_query].copy()
    reference.obs[key] = reference.obs[key].astype(str).astype("category")
    query.obs[key] = query.obs[key].astype(str).astype("category")
    return reference, query, key, novel


def _query_cells(
    adata: AnnData, labels: npt.NDArray[np.object_], batch_key: str | None, seed: int
) -> npt.NDArray[np.bool_]:
    if batch_key is not None and batch_key not in adata.obs:
        raise no_column(batch_key, adata.obs.columns)
    if batch_key is None:
        _, held = stratified_split(labels, QUERY_FRACTION, seed)
    else:
        _, held = group_split(labels, adata.obs[batch_key].astype(str).to_numpy(), QUERY_FRACTION, seed)
    is_query = np.zeros(adata.n_obs, dtype=bool)
    is_query[held] = True
    return is_query


def _novel_type(n_cells: pd.Series, stated: str | None, key: str) -> str:
    """Return the type to leave out of the reference, from the cells of each type in the query, rising."""
    if stated is not None:
        if stated not in n_cells.index:
            raise LabelError(
                f"No query cell is of type '{stated}' in obs['{key}'].{nearest(stated, n_cells.index)} Types: "
                f"{', '.join(n_cells.index)}."
            )
        return stated
    enough = n_cells[n_cells >= MIN_NOVEL_CELLS]
    if len(n_cells) < 3 or enough.empty:
        raise LabelError(
            f"The demo leaves one type out of the reference and needs three types or more, one of them with "
            f"{MIN_NOVEL_CELLS} cells; found "
            + ", ".join(f"'{name}': {n:,}" for name, n in n_cells.items())
            + ". Name a type with --novel-type, or give more cells."
        )
    return str(enough.index[0])


def _several(reference: AnnData, batch_key: str | None) -> str | None:
    """Return the column of donors where whole ones can be held out for validation: two or more."""
    return batch_key if batch_key is not None and reference.obs[batch_key].nunique() > 1 else None


def _draw(query: AnnData, evaluation: Evaluation, key: str, folder: Path) -> None:
    from annatac import pl

    pl.save(pl.umap_panels(query, key)[0], folder / "umap.png")
    pl.save(pl.confusion_matrix(evaluation), folder / "confusion.png")
    pl.save(pl.sankey(evaluation), folder / "sankey.png")
    pl.save(pl.training_panels(folder / "model")[0], folder / "training.png")


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - began, 1)
