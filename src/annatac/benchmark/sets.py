"""The data sets of the benchmark, with types as they are judged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from annatac import datasets
from annatac.benchmark.suite import SetConfig
from annatac.errors import ConfigError, LabelError, MissingFileError, nearest, no_column

if TYPE_CHECKING:
    from anndata import AnnData

TRUTH = "cell_type"
#: Words for the sets of the shipped suites.
TITLES = {
    "granja": "Granja, 16 types",
    "granja_coarse": "Granja, 10 types",
    "granja_folds": "Granja, five folds",
    "snare": "SNARE, 14 types",
    "snare_fine": "SNARE, 22 subtypes",
    "snare_libraries": "SNARE, eight libraries",
    "bm0828": "BM0828",
    "bm0828_folds": "BM0828, three folds",
    "schep": "Schep",
    "schep_folds": "Schep, three folds",
    "granja_to_bm0828": "Granja to BM0828",
    "bm0828_to_granja": "BM0828 to Granja",
}


def set_title(name: str) -> str:
    """Return the words for a set: those of a shipped suite's, else its name."""
    return TITLES.get(name, name)


def load(name: str, label_key: str = TRUTH) -> AnnData:
    """Return a data set with the judged types in ``obs['cell_type']``, '' where there is none.

    Parameters
    ----------
    name
        Of :mod:`annatac.datasets`, or the path of any input. The three LCL classes of Schep 2017 are replicates
        of one line and become ``LCL``.

    Raises
    ------
    MissingFileError, LabelError
        Neither a data set nor a file; no such column (the nearest is named).
    """
    adata = _read(name)
    if label_key not in adata.obs:
        raise no_column(label_key, adata.obs.columns, table=f"obs of {name}")
    column = adata.obs[label_key]
    labels = column.astype(object).where(column.notna(), "").astype(str).str.strip().to_numpy(dtype=object)
    if name == "schep2017_lines":
        labels = merge_lcl(labels)
    adata.obs[TRUTH] = labels
    return adata


def load_reference(config: SetConfig) -> AnnData:
    """Return the labelled cells of the reference's file, types renamed as the set says."""
    return _judged(load(config.reference, config.label_key), config)


def load_query(config: SetConfig) -> AnnData:
    """Return the labelled cells of the query's own file (another study)."""
    return _judged(load(config.query, config.query_label_key or config.label_key), config)


def types_of(config: SetConfig) -> list[str]:
    """Return the types of the reference's file, sorted."""
    return sorted(set(load_reference(config).obs[TRUTH]))


def n_batches(config: SetConfig) -> int:
    """Return how many batches the reference's file has.

    Raises
    ------
    LabelError
        No such column, or one batch only.
    """
    obs = load_reference(config).obs
    if config.batch_key not in obs:
        raise no_column(config.batch_key, obs.columns)
    n = int(obs[config.batch_key].astype(str).nunique())
    if n < 2:
        raise LabelError(f"obs['{config.batch_key}'] has one batch only: leave it away, to split by folds.")
    return n


def merge_lcl(labels: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Return the labels with every LCL class (lymphoblastoid line GM12878) named ``LCL``."""
    return np.array(["LCL" if "LCL" in x or "GM" in x else x for x in labels], dtype=object)


def _read(name: str) -> AnnData:
    if name in datasets.names():
        return datasets.load(name)
    if not Path(name).exists():
        raise MissingFileError(
            f"'{name}' is neither a data set nor a file.{nearest(name, datasets.names())} "
            "`annatac datasets list` has the names."
        )
    from annatac.pp.reading import read

    return read(name)


def _judged(adata: AnnData, config: SetConfig) -> AnnData:
    if config.types:
        labels = adata.obs[TRUTH].map(config.types)
        adata.obs[TRUTH] = labels.where(labels.notna(), "").to_numpy(dtype=object)
    kept = (adata.obs[TRUTH] != "").to_numpy()
    if not kept.any():
        raise ConfigError(
            f"No cell of set '{config.name}' has one of its types in obs['{config.label_key}']."
        )
    return adata[kept].copy()
