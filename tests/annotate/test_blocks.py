"""A query named block by block, from disk and by several processes, is the query named at once."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from annatac import jobs, keys, tl
from annatac.annotate import blocks
from annatac.annotate.annotator import Annotator
from annatac.corpus.batches import collate
from annatac.io import read_one

_spec = importlib.util.spec_from_file_location(
    "processes", Path(__file__).parents[1] / "train" / "processes.py"
)
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

ON_DISK = ("10x", "zarr", "h5ad", "dense h5ad", "csc h5ad")


def write(kind: str, adata: AnnData, folder: Path) -> Path:
    """Write the cells as a file of a kind that is read from disk as it is needed."""
    if kind == "zarr":
        pytest.importorskip("zarr")
        adata.write_zarr(folder / "query.zarr")
        return folder / "query.zarr"
    if kind == "10x":
        return tenx_h5(adata, folder / "query.h5")
    adata = adata.copy()
    adata.X = {"h5ad": adata.X, "dense h5ad": adata.X.toarray(), "csc h5ad": sp.csc_matrix(adata.X)}[kind]
    adata.write_h5ad(folder / "query.h5ad")
    return folder / "query.h5ad"


def tenx_h5(adata: AnnData, path: Path) -> Path:
    """Write counts as Cell Ranger ATAC does."""
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for name, array in (("data", adata.X.data), ("indices", adata.X.indices), ("indptr", adata.X.indptr)):
            group.create_dataset(name, data=array.astype(np.int32 if name == "data" else np.int64))
        group["shape"] = np.array(adata.shape[::-1], dtype=np.int32)
        group["barcodes"] = adata.obs_names.to_numpy().astype("S")
        group["features/id"] = adata.var_names.to_numpy().astype("S")
        group["features/feature_type"] = np.full(adata.n_vars, b"Peaks")
        group["features/genome"] = np.full(adata.n_vars, b"hg38")
    return path


def test_annotating_starts_light():
    """What training and reports need, half of the start-up time, is not loaded."""
    code = (
        "import sys, annatac.jobs.annotating, annatac.annotate.blocks, annatac.annotate.calls\n"
        "loaded = [name for name in ('sklearn', 'scipy.stats', 'matplotlib') if name in sys.modules]\n"
        "assert not loaded, f'annotating loads {loaded}'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def same_annotation(path: Path, wanted: AnnData) -> None:
    found = ad.read_h5ad(path)
    assert found.obs_names.equals(wanted.obs_names)
    assert found.obs[keys.LABEL].astype(str).tolist() == wanted.obs[keys.LABEL].astype(str).tolist()
    np.testing.assert_allclose(found.obs[keys.CONFIDENCE], wanted.obs[keys.CONFIDENCE], atol=1e-5)
    for slot in (keys.PROBABILITIES, keys.EMBEDDING):
        assert found.obsm[slot].dtype == np.float32
        np.testing.assert_allclose(found.obsm[slot], wanted.obsm[slot], atol=1e-5)
    assert found.uns[keys.UNS]["overlap"] == wanted.uns[keys.UNS]["overlap"]
    x = found.X if sp.issparse(found.X) else sp.csr_matrix(found.X)
    assert (sp.csr_matrix(x) != wanted.X).nnz == 0


@pytest.mark.parametrize("kind", ON_DISK)
def test_a_file_in_blocks_is_the_matrix_in_memory(kind, query, named, model_folder, tmp_path, monkeypatch):
    wanted = named()
    path = write(kind, query, tmp_path)
    monkeypatch.setattr(blocks, "BLOCK", 7)
    monkeypatch.setattr("annatac.annotate.query._ROWS", 3)
    done: list[int] = []
    result = jobs.annotate(
        [path], tmp_path / "out.h5ad", model=model_folder, csv=tmp_path / "out.csv",
        on_progress=lambda n, of: done.append(n),
    )  # fmt: skip
    same_annotation(tmp_path / "out.h5ad", wanted)
    table = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert table["label"].tolist() == wanted.obs[keys.LABEL].astype(str).tolist()
    assert result.cells_per_label == wanted.obs[keys.LABEL].value_counts().loc[lambda n: n > 0].to_dict()
    assert done == sorted(done)
    assert done[-1] == query.n_obs


@pytest.mark.parametrize("budget", [1, 200, 1_000])
def test_calls_do_not_depend_on_which_cells_share_a_batch(budget, query, named, monkeypatch):
    """Cells of 7 to 70 open islands, alone, a few together and all in one batch beside much padding."""
    thinned = query.X.copy()
    kept = np.random.default_rng(0).random(thinned.nnz) < np.repeat(
        np.linspace(0.1, 1, query.n_obs), np.diff(thinned.indptr)
    )
    thinned.data[~kept] = 0
    thinned.eliminate_zeros()
    query.X = thinned
    widths: list[int] = []

    def watched(tokens, rows, **options):
        batch = collate(tokens, rows, **options)
        widths.append(batch.real_BN.shape[1])
        return batch

    monkeypatch.setattr("annatac.annotate.annotator.collate", watched)
    wanted, n_before = named(), len(widths)
    assert n_before == 1
    monkeypatch.setattr("annatac.annotate.annotator.CPU_TOKENS", budget)
    found = named()
    assert len(widths) - n_before == (query.n_obs if budget == 1 else pytest.approx(3_000 / budget, rel=0.6))
    for slot in (keys.PROBABILITIES, keys.EMBEDDING):
        np.testing.assert_allclose(found.obsm[slot], wanted.obsm[slot], atol=1e-5)
    for slot in (keys.LABEL, keys.REASON, keys.LABEL_SAFE):
        assert found.obs[slot].astype(str).tolist() == wanted.obs[slot].astype(str).tolist()
    for slot in (keys.NOVELTY, keys.DOUBLET_SCORE):
        np.testing.assert_allclose(found.obs[slot], wanted.obs[slot], atol=1e-5)


@pytest.mark.parametrize("kind", ["10x", "zarr", "h5ad"])
def test_counts_stay_on_disk(kind, query, tmp_path):
    path = write(kind, query, tmp_path)
    backed, loaded = read_one(path, backed=True), read_one(path)
    assert not sp.issparse(backed.X)
    assert (backed.X[5:9] != loaded.X[5:9]).nnz == 0
    assert backed.X.dtype == loaded.X.dtype == np.int32
    pd.testing.assert_frame_equal(backed.var, loaded.var)
    assert dict(backed.uns) == dict(loaded.uns)
    some = read_one(path, backed=True, barcodes=query.obs_names[[4, 2]].tolist())
    assert (loaded.X[[4, 2]] != some.X).nnz == 0


def test_cells_of_which_some_features_are_no_peaks_are_read_whole(query, tmp_path):
    path = tenx_h5(query, tmp_path / "arc.h5")
    with h5py.File(path, "r+") as file:
        kinds = file["matrix/features/feature_type"][...].astype("S20")
        kinds[:3] = b"Gene Expression"
        del file["matrix/features/feature_type"]
        file["matrix/features/feature_type"] = kinds
    adata = read_one(path, backed=True)
    assert (query.X[:, 3:] != adata.X).nnz == 0


def test_an_error_in_a_later_block_leaves_the_old_file(query, model_folder, tmp_path, monkeypatch):
    path = write("10x", query, tmp_path)
    out, calls = tmp_path / "out.h5ad", []
    out.write_text("older")
    predict = Annotator.predict

    def failing(self, tokens, **options):
        calls.append(tokens.shape[0])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return predict(self, tokens, **options)

    monkeypatch.setattr(blocks, "BLOCK", 20)
    monkeypatch.setattr(Annotator, "predict", failing)
    with pytest.raises(KeyboardInterrupt):
        jobs.annotate([path], out, model=model_folder, csv=tmp_path / "out.csv")
    assert calls == [20, 20, 20]
    assert out.read_text() == "older"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.h5ad", "query.h5"]


def test_a_truncated_file_is_named(query, tmp_path, model_folder):
    path = tenx_h5(query, tmp_path / "query.h5")
    with h5py.File(path, "r+") as file:
        indptr = file["matrix/indptr"][...]
        del file["matrix/indptr"]
        file["matrix/indptr"] = indptr[:-2]
    with pytest.raises(Exception, match="is damaged: its arrays do not make a matrix"):
        jobs.annotate([path], tmp_path / "out.h5ad", model=model_folder)


def test_two_processes_write_what_one_writes(query, model_folder, tmp_path, monkeypatch):
    """Three blocks: in the second round one process has no cell to name; and more processes than cells."""
    query.write_h5ad(tmp_path / "query.h5ad")
    query[[3]].write_h5ad(tmp_path / "cell.h5ad")
    (tmp_path / "model").symlink_to(model_folder)
    assert processes.start("annotating", tmp_path, 2) == [(0, "")] * 2
    monkeypatch.setattr(blocks, "BLOCK", processes.CELLS_A_BLOCK)
    jobs.annotate([tmp_path / "query.h5ad"], tmp_path / "one.h5ad", model=model_folder)
    several, one = ad.read_h5ad(tmp_path / "out.h5ad"), ad.read_h5ad(tmp_path / "one.h5ad")
    pd.testing.assert_frame_equal(several.obs, one.obs)
    for slot in one.obsm:
        np.testing.assert_array_equal(several.obsm[slot], one.obsm[slot])
    assert several.uns[keys.UNS]["overlap"] == one.uns[keys.UNS]["overlap"]
    assert len(pd.read_csv(tmp_path / "out.csv")) == query.n_obs
    cell = ad.read_h5ad(tmp_path / "cell_out.h5ad")
    assert cell.obs_names.tolist() == [query.obs_names[3]]
    assert cell.obsm[keys.PROBABILITIES].sum() == pytest.approx(1)


def test_one_cell(query, annotator):
    cell = tl.annotate(query[[3]].copy(), annotator, copy=True)
    assert cell.obsm[keys.PROBABILITIES].shape == (1, len(annotator.classes))
