"""The data sets of the benchmark, with types as they are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from annatac import datasets

if TYPE_CHECKING:
    from anndata import AnnData

TRUTH = "cell_type"


def load(name: str, label_key: str = TRUTH) -> AnnData:
    """Return a data set with the judged types in ``obs['cell_type']``, none missing.

    The three LCL classes of Schep 2017 are replicates of one line and become ``LCL``.
    """
    adata = datasets.load(name)
    labels = adata.obs[label_key].astype(str).to_numpy(dtype=object)
    if name == "schep2017_lines":
        labels = merge_lcl(labels)
    adata.obs[TRUTH] = labels
    return adata


def merge_lcl(labels: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Return the labels with every LCL class (lymphoblastoid line GM12878) named ``LCL``."""
    return np.array(["LCL" if "LCL" in x or "GM" in x else x for x in labels], dtype=object)
