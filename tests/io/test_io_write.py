"""What annotation adds is written beside what was there, which stays as it was."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from annatac import keys
from annatac.errors import OutputError
from annatac.io import read_one, write_annotated


@pytest.fixture
def rich(adata: ad.AnnData) -> ad.AnnData:
    n = adata.n_obs
    adata.obs["type"] = pd.Categorical(["b", "a/x"] * (n // 2), categories=["z", "b", "a/x"], ordered=True)
    adata.obs["n"] = np.arange(n, dtype=np.int16)
    adata.obs["text"] = [f"t{i}" for i in range(n)]
    adata.obs["flag"] = pd.array([True, None] * (n // 2), dtype="boolean")
    adata.obs.index.name = "barcode"
    adata.obsm["X_pca"] = np.random.default_rng(0).normal(size=(n, 3))
    adata.layers["raw"] = adata.X * 2
    adata.uns["nested"] = {"a": np.arange(3), "b": "text"}
    adata.raw = adata.copy()
    return adata


def _additions(adata: ad.AnnData) -> tuple[pd.DataFrame, dict, dict]:
    n = adata.n_obs
    obs = pd.DataFrame(index=adata.obs_names)
    obs[keys.LABEL] = pd.Categorical(["CMP/LMPP", "L2/3"] * (n // 2))
    obs[keys.CONFIDENCE] = np.linspace(0, 1, n, dtype=np.float32)
    obs[keys.IS_NOVEL] = np.arange(n) % 3 == 0
    obs[keys.REASON] = pd.Series(["novel", ""] * (n // 2), index=obs.index, dtype="string")
    obsm = {keys.PROBABILITIES: np.full((n, 2), 0.5, dtype=np.float32)}
    uns = {keys.UNS: {"classes": np.array(["CMP/LMPP", "L2/3"], dtype=object), "schema_version": 1}}
    return obs, obsm, uns


def _check(out: Path, adata: ad.AnnData) -> ad.AnnData:
    obs, obsm, _ = _additions(adata)
    written = ad.read_h5ad(out)
    old = list(adata.obs.columns)
    assert list(written.obs.columns) == old + list(obs.columns)
    pd.testing.assert_frame_equal(written.obs[old], adata.obs, check_index_type=False)
    for name in obs.columns:
        assert written.obs[name].tolist() == obs[name].tolist()
    assert written.obs[keys.LABEL].dtype == "category"
    assert written.obs[keys.CONFIDENCE].dtype == np.float32
    assert written.obs[keys.IS_NOVEL].dtype == bool
    np.testing.assert_array_equal(written.obsm[keys.PROBABILITIES], obsm[keys.PROBABILITIES])
    assert written.obsm[keys.PROBABILITIES].dtype == np.float32
    assert written.uns[keys.UNS]["classes"].tolist() == ["CMP/LMPP", "L2/3"]
    for name in adata.obsm:
        np.testing.assert_array_equal(written.obsm[name], adata.obsm[name])
    np.testing.assert_array_equal(sp.csr_matrix(written.X).toarray(), sp.csr_matrix(adata.X).toarray())
    return written


def test_an_h5ad_file_is_extended_without_loading_x(
    tmp_path: Path, rich: ad.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "query.h5ad"
    rich.write_h5ad(source)
    before = source.read_bytes()
    source.chmod(0o444)
    query = read_one(source, backed=True)
    monkeypatch.setattr("annatac.io.write._whole", None)  # would load X
    obs, obsm, uns = _additions(rich)
    write_annotated(tmp_path / "out.h5ad", source=source, adata=query, obs=obs, obsm=obsm, uns=uns)
    query.file.close()
    written = _check(tmp_path / "out.h5ad", rich)
    assert written.obs.index.name == "barcode"
    assert written.obs["type"].cat.categories.tolist() == ["z", "b", "a/x"]
    assert written.obs["type"].cat.ordered
    assert written.uns["nested"]["b"] == "text"
    assert written.raw is not None
    assert source.read_bytes() == before


def test_annotating_again_replaces_in_place(tmp_path: Path, rich: ad.AnnData) -> None:
    first, second = tmp_path / "first.h5ad", tmp_path / "second.h5ad"
    rich.write_h5ad(first)
    obs, obsm, uns = _additions(rich)
    write_annotated(second, source=first, adata=rich, obs=obs, obsm=obsm, uns=uns)
    write_annotated(second, source=second, adata=rich, obs=obs, obsm=obsm, uns=uns)
    _check(second, rich)


def test_other_sources_and_chosen_cells_are_written_whole(tmp_path: Path, rich: ad.AnnData) -> None:
    obs, obsm, uns = _additions(rich)
    before = rich.copy()
    for source in (None, tmp_path / "query.h5"):
        write_annotated(tmp_path / "out.h5ad", source=source, adata=rich, obs=obs, obsm=obsm, uns=uns)
        _check(tmp_path / "out.h5ad", rich)
    assert list(rich.obs.columns) == list(before.obs.columns)
    assert set(rich.uns) == set(before.uns)
    rich.write_h5ad(tmp_path / "query.h5ad")
    islands = rich[:, ::2].copy()  # counted anew: not the matrix that is in the file
    for few in (rich[::-1][:10].copy(), islands):
        obs, obsm, uns = _additions(few)
        write_annotated(
            tmp_path / "out.h5ad", source=tmp_path / "query.h5ad", adata=few, obs=obs, obsm=obsm, uns=uns
        )
        _check(tmp_path / "out.h5ad", few)


def _as_anndata_0_7(path: Path, adata: ad.AnnData) -> None:
    """Rewrite obs as anndata 0.7 did: codes beside a group of categories."""
    with h5py.File(path, "r+") as file:
        del file["obs"]
        file.attrs.clear()
        obs = file.create_group("obs")
        obs.attrs["encoding-type"], obs.attrs["encoding-version"] = "dataframe", "0.1.0"
        obs.attrs["_index"] = "index"
        obs.attrs["column-order"] = np.array(["type", "n"], dtype=h5py.string_dtype())
        obs.create_dataset("index", data=adata.obs_names.to_numpy(dtype=object), dtype=h5py.string_dtype())
        obs["n"] = adata.obs["n"].to_numpy()
        obs["type"] = adata.obs["type"].cat.codes.to_numpy()
        categories = obs.create_group("__categories")
        categories.create_dataset("type", data=["z", "b", "a/x"], dtype=h5py.string_dtype())
        categories["type"].attrs["ordered"] = True
        obs["type"].attrs["categories"] = categories["type"].ref


def _as_anndata_0_6(path: Path, adata: ad.AnnData) -> None:
    """Write obs and var as anndata 0.6 did: compound arrays, categories in uns."""
    path.unlink(missing_ok=True)
    with h5py.File(path, "w") as file:
        file["X"] = adata.X.toarray().astype(np.float32)
        rows = list(zip(adata.obs_names, adata.obs["type"].cat.codes, adata.obs["n"], strict=True))
        file["obs"] = np.array([(a.encode(), b, c) for a, b, c in rows], dtype="S20,i1,i2").astype(
            [("index", "S20"), ("type", "i1"), ("n", "i2")]
        )
        file["var"] = np.array([(name.encode(),) for name in adata.var_names], dtype=[("index", "S40")])
        file.create_dataset("uns/type_categories", data=["z", "b", "a/x"], dtype=h5py.string_dtype())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("age", [_as_anndata_0_7, _as_anndata_0_6])
def test_files_of_older_versions_survive(age, tmp_path: Path, rich: ad.AnnData) -> None:
    rich = ad.AnnData(rich.X, rich.obs[["type", "n"]], rich.var)
    source = tmp_path / "old.h5ad"
    rich.write_h5ad(source)
    age(source, rich)
    query = read_one(source)
    assert query.obs["type"].tolist() == rich.obs["type"].tolist()
    obs, obsm, uns = _additions(rich)
    write_annotated(tmp_path / "out.h5ad", source=source, adata=query, obs=obs, obsm=obsm, uns=uns)
    written = ad.read_h5ad(tmp_path / "out.h5ad")
    assert list(written.obs.columns) == ["type", "n", *obs.columns]
    assert written.obs["type"].astype(str).tolist() == rich.obs["type"].astype(str).tolist()
    assert written.obs["n"].tolist() == rich.obs["n"].tolist()
    assert written.obs[keys.LABEL].tolist() == obs[keys.LABEL].tolist()
    np.testing.assert_array_equal(sp.csr_matrix(written.X).toarray(), rich.X.toarray())


def test_a_failure_leaves_nothing_and_the_old_file(tmp_path: Path, rich: ad.AnnData) -> None:
    source, out = tmp_path / "query.h5ad", tmp_path / "out.h5ad"
    rich.write_h5ad(source)
    out.write_text("older")
    obs, obsm, uns = _additions(rich)
    with pytest.raises(Exception, match="object"):
        write_annotated(out, source=source, adata=rich, obs=obs, obsm=obsm, uns={**uns, "bad": object()})
    assert out.read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.h5ad", "query.h5ad"]
    with pytest.raises(OutputError, match="is a folder"):
        write_annotated(tmp_path, source=source, adata=rich, obs=obs, obsm=obsm, uns=uns)
    with pytest.raises(ValueError, match="one row a cell"):
        write_annotated(out, source=source, adata=rich, obs=obs[::-1], obsm=obsm, uns=uns)
