from __future__ import annotations

import subprocess
import sys
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from annatac import keys, pp
from annatac.errors import AnnatacWarning, ConfigError, InputError, LabelError
from annatac.pp import qc, validate_counts, validate_labels

COUNTS = np.random.default_rng(0).poisson(0.7, (30, 20)) + np.eye(30, 20, dtype=int)


def _cells(x=COUNTS, **kwargs):
    return ad.AnnData(x, obs=pd.DataFrame(index=[f"c{i}" for i in range(x.shape[0])]), **kwargs)


def _with(value):
    x = COUNTS.astype(np.float32)
    x[3, 4] = value
    return x


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csc_matrix, lambda x: x.astype(np.float64)])
def test_counts_pass(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        validate_counts(_cells(kind(COUNTS)))


LOG = np.log1p(COUNTS / COUNTS.sum(1, keepdims=True) * 1e4)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (_with(np.nan), "1 NaN or infinite values"),
        (_with(-2), r"1 negative values \(the lowest is -2\)"),
        (_with(0.5), r"fractions \(for example 0\.5\)"),
        (LOG, "looks log-normalised"),
        (COUNTS / COUNTS.sum(1, keepdims=True), "every cell sums to 1"),
        (COUNTS * np.random.default_rng(1).random(20), r"looks transformed \(TF-IDF"),
        (COUNTS * 0, "All 30 cells x 20 features are 0"),
        (COUNTS[:0], "The matrix is empty: 0 cells x 20 features"),
        (COUNTS[:, :0], "The matrix is empty: 30 cells x 0 features"),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_what_is_no_count(x, message, kind):
    with pytest.raises(InputError, match=message):
        validate_counts(_cells(kind(x)))


def test_counts_elsewhere_are_pointed_at():
    with pytest.raises(InputError, match="Layer 'counts' holds counts"):
        validate_counts(_cells(LOG, layers={"counts": COUNTS}))
    adata = _cells(COUNTS)
    adata.raw = adata.copy()
    adata.X = LOG
    with pytest.raises(InputError, match=r"adata\.raw holds counts"):
        validate_counts(adata)


def test_repeated_barcodes():
    adata = _cells()
    adata.obs_names = ["AAAC-1"] * 2 + [f"c{i}" for i in range(28)]
    with pytest.raises(InputError, match="1 barcodes are there more than once, for example 'AAAC-1'"):
        validate_counts(adata)


def _labelled(values):
    adata = _cells(COUNTS[: len(values)])
    adata.obs["cell_type"] = values
    return adata


def test_labels():
    keep, values, classes = validate_labels(_labelled(["B", "T", "B", "T"]), "cell_type")
    assert keep.tolist() == [True] * 4
    assert values.tolist() == ["B", "T", "B", "T"]
    assert classes == ["B", "T"]


@pytest.mark.parametrize("missing", [np.nan, None, "", " ", "nan"])
def test_cells_without_a_label_are_counted(missing):
    with pytest.warns(AnnatacWarning, match="1 of 5 cells have no label"):
        keep, values, _ = validate_labels(_labelled(["B", missing, "T", "T", "B"]), "cell_type")
    assert keep.tolist() == [True, False, True, True, True]
    assert values.tolist() == ["B", "T", "T", "B"]


def test_labels_of_other_types():
    assert validate_labels(_labelled(pd.Categorical(["B", "T", "B", "T"])), "cell_type").classes == ["B", "T"]
    assert validate_labels(_labelled([0, 1, 0, 1]), "cell_type").classes == ["0", "1"]
    with pytest.warns(AnnatacWarning, match="1 of 5"):
        labels = validate_labels(_labelled([0.0, 1.0, np.nan, 0.0, 1.0]), "cell_type")
    assert labels.classes == ["0", "1"]
    with pytest.warns(AnnatacWarning, match="1 of 5"):
        validate_labels(_labelled(pd.Categorical(["B", "T", None, "B", "T"])), "cell_type")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["B"] * 4, "All 4 labelled cells are 'B'"),
        (["B", "B", "T", "T", "NK"], r"1 of 3 types .* have one cell only: 'NK'"),
        ([np.nan] * 3, "None of the 3 cells has a label"),
        (["B", "B", keys.NOVEL_LABEL, keys.NOVEL_LABEL], "holds the label 'Novel_cell_type'"),
    ],
)
def test_unusable_labels(values, message):
    with pytest.raises(LabelError, match=message):
        validate_labels(_labelled(values), "cell_type")


def test_missing_column_names_the_nearest():
    with pytest.raises(
        LabelError, match=r"no column 'celltype'\. Did you mean 'cell_type'\? It has: cell_type"
    ):
        validate_labels(_labelled(["B", "T"]), "celltype")


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_quality(kind):
    adata = _cells(kind(np.array([[1, 0, 9], [0, 0, 0], [1, 1, 1]])))
    assert qc(adata, min_open=2) is None
    assert adata.obs[keys.N_OPEN].tolist() == [2, 0, 3]
    assert adata.obs[keys.LOW_QUALITY].tolist() == [False, True, False]
    assert adata.obs[keys.N_OPEN].dtype == np.int32


def test_quality_of_a_copy():
    adata = _cells()
    changed = qc(adata, copy=True)
    assert keys.N_OPEN in changed.obs
    assert keys.N_OPEN not in adata.obs
    with pytest.raises(ConfigError, match="min_open is -1"):
        qc(adata, min_open=-1)


def test_public_names_exist_and_load_no_torch():
    assert all(callable(getattr(pp, name)) or name == "N_CLASSES" for name in pp.__all__)
    code = (
        "import sys, annatac.pp as pp; [getattr(pp, name) for name in pp.__all__]\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
