"""The same cells from every format are the same AnnData."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from io_inputs import (
    as_series,
    oracle_bins,
    oracle_peaks,
    write_10x_h5,
    write_arrow,
    write_fragments,
    write_mtx,
    write_snapatac2,
)

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError, InputError
from annatac.io import read_one

Maker = Callable[[Path, ad.AnnData, pd.DataFrame], Path]


def _h5ad(change: Callable[[ad.AnnData], None]) -> Maker:
    def make(folder: Path, adata: ad.AnnData, peaks: pd.DataFrame) -> Path:
        adata = adata.copy()
        change(adata)
        adata.write_h5ad(folder / "cells.h5ad")
        return folder / "cells.h5ad"

    return make


def _as(kind: Callable) -> Callable[[ad.AnnData], None]:
    def change(adata: ad.AnnData) -> None:
        adata.X = kind(adata.X)

    return change


def _other_names(separator: str) -> Callable[[ad.AnnData], None]:
    def change(adata: ad.AnnData) -> None:
        adata.var_names = adata.var_names.str.replace("[:-]", separator, regex=True)

    return change


def _tenx(folder: Path, adata: ad.AnnData, peaks: pd.DataFrame) -> Path:
    return write_10x_h5(folder / "x.h5", adata.X, adata.obs_names.tolist(), adata.var_names.tolist())


def _arc(folder: Path, adata: ad.AnnData, peaks: pd.DataFrame) -> Path:
    genes = sp.csr_matrix(np.ones((adata.n_obs, 3), dtype=np.int32))
    names = ["ENSG1", *adata.var_names[:5], "ENSG2", *adata.var_names[5:], "ENSG3"]
    counts = sp.hstack([genes[:, :1], adata.X[:, :5], genes[:, 1:2], adata.X[:, 5:], genes[:, 2:]])
    types = ["Gene Expression" if name.startswith("ENSG") else "Peaks" for name in names]
    interval = ["chr1:5-900" if name.startswith("ENSG") else name for name in names]
    barcodes = adata.obs_names.tolist()
    return write_10x_h5(folder / "x.h5", counts, barcodes, names, types=types, interval=interval)


def _mtx(gz: bool) -> Maker:
    def make(folder: Path, adata: ad.AnnData, peaks: pd.DataFrame) -> Path:
        return write_mtx(folder / "mtx", adata.X, adata.obs_names.tolist(), peaks, gz=gz)

    return make


def _arc_mtx(folder: Path, adata: ad.AnnData, peaks: pd.DataFrame) -> Path:
    genes = sp.csr_matrix(np.full((adata.n_obs, 1), 7, dtype=np.int32))
    path = write_mtx(folder / "mtx", sp.hstack([genes, adata.X]), adata.obs_names.tolist(), peaks)
    (path / "peaks.bed").unlink()
    rows = ["ENSG1\tCD4\tGene Expression\tchr1\t5\t900\n"]
    for name, (chrom, start, end) in zip(adata.var_names, peaks.itertuples(index=False), strict=True):
        rows.append(f"{name}\t{name}\tPeaks\t{chrom}\t{start}\t{end}\n")
    (path / "features.tsv.gz").write_bytes(gzip.compress("".join(rows).encode()))
    return path


def _outs(folder: Path, adata: ad.AnnData, peaks: pd.DataFrame) -> Path:
    (folder / "run" / "outs").mkdir(parents=True)
    (folder / "run" / "outs" / "raw_peak_bc_matrix.h5").write_bytes(b"not read")
    names = adata.var_names.tolist()
    path = folder / "run" / "outs" / "filtered_peak_bc_matrix.h5"
    write_10x_h5(path, adata.X, adata.obs_names.tolist(), names)
    return folder / "run"


def _zarr(folder: Path, adata: ad.AnnData, peaks: pd.DataFrame) -> Path:
    pytest.importorskip("zarr")
    adata.write_zarr(folder / "cells.zarr")
    return folder / "cells.zarr"


def _h5mu(folder: Path, adata: ad.AnnData, peaks: pd.DataFrame) -> Path:
    mudata = pytest.importorskip("mudata")
    rna = ad.AnnData(np.ones((adata.n_obs, 2)), obs=pd.DataFrame(index=adata.obs_names))
    mdata = mudata.MuData({"rna": rna, "atac": adata.copy()})
    mdata.write(folder / "cells.h5mu")
    return folder / "cells.h5mu"


MAKERS: dict[str, Maker] = {
    "csr": _h5ad(_as(sp.csr_matrix)),
    "csc": _h5ad(_as(sp.csc_matrix)),
    "dense": _h5ad(_as(lambda x: x.toarray())),
    "float": _h5ad(_as(lambda x: x.astype(np.float32))),
    "dense_float": _h5ad(_as(lambda x: x.toarray().astype(np.float64))),
    "uint8": _h5ad(_as(lambda x: x.astype(np.uint8))),
    "int64": _h5ad(_as(lambda x: x.astype(np.int64))),
    "10x": _tenx,
    "10x_arc": _arc,
    "mtx": _mtx(False),
    "mtx_gz": _mtx(True),
    "mtx_arc": _arc_mtx,
    "outs": _outs,
    "zarr": _zarr,
    "h5mu": _h5mu,
}


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", list(MAKERS))
def test_every_format_gives_the_same(
    name: str, tmp_path: Path, adata: ad.AnnData, peaks: pd.DataFrame, peak_names: list[str]
) -> None:
    path = MAKERS[name](tmp_path, adata, peaks)
    read = read_one(path)
    assert isinstance(read.X, sp.csr_matrix)
    assert read.X.dtype == np.int32
    assert read.X.has_sorted_indices
    np.testing.assert_array_equal(read.X.toarray(), adata.X.toarray())
    assert read.X.nnz == adata.X.nnz
    assert read.obs_names.tolist() == adata.obs_names.tolist()
    assert read.obs.shape[1] == 0
    pd.testing.assert_frame_equal(read.var, peaks.set_index(pd.Index(peak_names)), check_index_type=False)
    if name in ("10x", "10x_arc", "outs"):
        assert read.uns == {keys.GENOME: "hg38"}
    else:
        assert keys.GENOME not in read.uns


@pytest.mark.parametrize("separator", ["-", "_"])
def test_other_peak_names_have_the_same_coordinates(
    separator: str, tmp_path: Path, adata: ad.AnnData, peaks: pd.DataFrame
) -> None:
    read = read_one(_h5ad(_other_names(separator))(tmp_path, adata, peaks))
    pd.testing.assert_frame_equal(read.var.reset_index(drop=True), peaks)
    assert read.var_names[0] == f"chr1{separator}100{separator}600"


def test_everything_in_an_h5ad_is_kept_whatever_x_is(tmp_path: Path, adata: ad.AnnData) -> None:
    adata.obs["cell_type"] = pd.Categorical(["CMP/LMPP", "L2/3"] * 10)
    adata.var["name"] = [f"p{i}" for i in range(adata.n_vars)]
    adata.obsm["X_pca"] = np.arange(40.0).reshape(20, 2)
    adata.layers["raw"] = adata.X.copy()
    adata.uns["genome"] = "GRCh37"
    adata.raw = adata.copy()
    adata.write_h5ad(tmp_path / "sparse.h5ad")
    adata.X = adata.X.toarray()
    adata.write_h5ad(tmp_path / "dense.h5ad")
    for name in ("sparse.h5ad", "dense.h5ad"):
        read = read_one(tmp_path / name)
        assert read.obs["cell_type"].tolist() == adata.obs["cell_type"].tolist()
        assert list(read.var.columns) == ["chrom", "start", "end", "name"]
        np.testing.assert_array_equal(read.obsm["X_pca"], adata.obsm["X_pca"])
        np.testing.assert_array_equal(read.layers["raw"].toarray(), adata.layers["raw"].toarray())
        assert read.uns["genome"] == "hg19"
        assert read.raw is not None
        assert read.raw.shape == adata.shape


def test_backed_leaves_x_on_disk(tmp_path: Path, adata: ad.AnnData, peaks: pd.DataFrame) -> None:
    path = MAKERS["csr"](tmp_path, adata, peaks)
    read = read_one(path, backed=True, genome="hg38")
    assert read.isbacked
    np.testing.assert_array_equal(read.X[3:7].toarray(), adata.X[3:7].toarray())
    assert read.var["start"].tolist() == peaks["start"].tolist()
    assert read.uns["genome"] == "hg38"
    read.file.close()
    few = read_one(path, backed=True, genome="hg38", barcodes=adata.obs_names[[5, 2]].tolist())
    np.testing.assert_array_equal(few.X.toarray(), adata.X[[5, 2]].toarray())
    assert few.uns["genome"] == "hg38"


def test_values_that_are_no_counts_are_kept_for_validation(tmp_path: Path, adata: ad.AnnData) -> None:
    x = adata.X.toarray().astype(np.float32)
    x[0, 0], x[1, 1] = np.nan, 0.5
    adata.X = x
    adata.write_h5ad(tmp_path / "x.h5ad")
    read = read_one(tmp_path / "x.h5ad")
    assert read.X.dtype == np.float32
    np.testing.assert_array_equal(read.X.toarray(), x)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_duplicated_names_are_left_as_they_are(tmp_path: Path, adata: ad.AnnData) -> None:
    adata.obs_names = ["A-1"] * 20
    adata.write_h5ad(tmp_path / "x.h5ad")
    assert read_one(tmp_path / "x.h5ad").obs_names.tolist() == ["A-1"] * 20


def test_features_without_coordinates_keep_their_names(tmp_path: Path, adata: ad.AnnData) -> None:
    adata.var_names = [f"gene{i}" for i in range(adata.n_vars)]
    adata.write_h5ad(tmp_path / "x.h5ad")
    assert "chrom" not in read_one(tmp_path / "x.h5ad").var


def test_barcodes_choose_cells_of_a_matrix(tmp_path: Path, adata: ad.AnnData) -> None:
    adata.write_h5ad(tmp_path / "x.h5ad")
    chosen = adata.obs_names[[9, 4]].tolist()
    read = read_one(tmp_path / "x.h5ad", barcodes=chosen)
    np.testing.assert_array_equal(read.X.toarray(), adata.X[[9, 4]].toarray())
    assert read.obs_names.tolist() == chosen


def test_genome_of_the_user_comes_before_the_files(tmp_path: Path, adata: ad.AnnData) -> None:
    path = _tenx(tmp_path, adata, None)
    assert read_one(path, genome="GRCh38.p13").uns["genome"] == "hg38"
    with pytest.warns(AnnatacWarning, match="states the assembly hg38; mm10, as you chose"):
        assert read_one(path, genome="mm10").uns["genome"] == "mm10"
    with pytest.raises(ConfigError, match="hg38"):
        read_one(path, genome="hg39")


def test_two_species_state_no_genome(tmp_path: Path, adata: ad.AnnData) -> None:
    path = _tenx(tmp_path, adata, None)
    with h5py.File(path, "r+") as file:
        genomes = file["matrix/features/genome"][...]
        del file["matrix/features/genome"]
        genomes[::2] = b"mm10"
        file["matrix/features/genome"] = genomes
    assert keys.GENOME not in read_one(path).uns


def test_mudata_brings_the_common_obs(tmp_path: Path, adata: ad.AnnData) -> None:
    path = tmp_path / "x.h5mu"
    adata.obs["batch"] = "b1"
    with h5py.File(path, "w", userblock_size=512) as file:
        ad.io.write_elem(file, "mod/atac", adata)
        ad.io.write_elem(file, "obs", pd.DataFrame({"type": list("ab") * 10}, index=adata.obs_names[::-1]))
    read = read_one(path)
    assert read.obs["type"].tolist() == ["b", "a"] * 10
    assert read.obs["batch"].tolist() == ["b1"] * 20


def _arrow(folder: Path, fragments: pd.DataFrame) -> Path:
    return write_arrow(folder / "s.arrow", fragments)


def _paired(folder: Path, fragments: pd.DataFrame) -> Path:
    return write_snapatac2(folder / "s.h5ad", fragments)


def _single(folder: Path, fragments: pd.DataFrame) -> Path:
    return write_snapatac2(folder / "s.h5ad", fragments, slot="fragment_single")


@pytest.mark.parametrize("make", [_arrow, _paired, _single])
def test_arrow_and_snapatac2_count_as_the_fragments_do(
    make: Callable, tmp_path: Path, fragments: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annatac.io.arrow._SLICE", 100)
    monkeypatch.setattr("annatac.io.snapatac2._SLICE", 100)
    path = make(tmp_path, fragments)
    read, same = read_one(path), read_one(write_fragments(tmp_path / "fragments.tsv.gz", fragments))
    pd.testing.assert_series_equal(as_series(read), oracle_bins(fragments), check_names=False)
    assert read.var_names.tolist() == same.var_names.tolist()
    assert read.obs_names.tolist() == same.obs_names.tolist()
    assert read.uns[keys.ISLANDS] == same.uns[keys.ISLANDS]
    peaks = pd.DataFrame({"chrom": "chr1", "start": [0, 5000, 99_985_000], "end": [800, 30_000, 10**8]})
    expected = oracle_peaks(fragments, peaks).to_numpy()
    np.testing.assert_array_equal(read_one(path, peaks=peaks).X.toarray(), expected)

    chosen = same.obs_names[[5, 3]].tolist()
    few = read_one(path, barcodes=[f"S1#{name}" for name in chosen] if make is _arrow else chosen)
    assert few.obs_names.tolist() == chosen
    expected_few = oracle_bins(fragments[fragments["barcode"].isin(chosen)])
    pd.testing.assert_series_equal(as_series(few), expected_few, check_names=False)
    n = 2 * fragments.groupby("barcode").size() if make is _single else fragments.groupby("barcode").size()
    assert read_one(path, min_fragments=int(n.median())).n_obs == int((n >= int(n.median())).sum())
    with pytest.raises(InputError, match="Lower the minimum"):
        read_one(path, min_fragments=10**7)


def test_arrow_takes_the_cells_that_passed_archr(tmp_path: Path, fragments: pd.DataFrame) -> None:
    passed = sorted(fragments["barcode"].unique())[3:9]
    read = read_one(write_arrow(tmp_path / "s.arrow", fragments, passed=passed))
    assert read.obs_names.tolist() == passed
    expected = oracle_bins(fragments[fragments["barcode"].isin(passed)])
    pd.testing.assert_series_equal(as_series(read), expected, check_names=False)


def test_snapatac2_keeps_obs_and_a_matrix_comes_before_fragments(
    tmp_path: Path, fragments: pd.DataFrame
) -> None:
    path = write_snapatac2(tmp_path / "s.h5ad", fragments)
    read = read_one(path)
    assert read.obs["n_fragment"].tolist() == fragments.groupby("barcode").size().tolist()
    tiles = ad.AnnData(
        np.ones((read.n_obs, 2), dtype=np.uint32), var=pd.DataFrame(index=["chr1:0-500", "chr1:500-1000"])
    )
    with h5py.File(path, "r+") as file:
        for slot in ("X", "var"):
            file.pop(slot, None)
        ad.io.write_elem(file, "X", tiles.X)
        ad.io.write_elem(file, "var", tiles.var)
    peaks = pd.DataFrame({"chrom": ["chr1"], "start": [0], "end": [10_000]})
    counted = read_one(path, peaks=peaks)
    np.testing.assert_array_equal(counted.X.toarray(), oracle_peaks(fragments, peaks).to_numpy())


def test_outs_falls_back_on_mtx_and_on_fragments(
    tmp_path: Path, adata: ad.AnnData, peaks: pd.DataFrame, fragments: pd.DataFrame
) -> None:
    outs = tmp_path / "outs"
    outs.mkdir()
    names = sorted(fragments["barcode"].unique())
    write_fragments(outs / "atac_fragments.tsv.gz", fragments)
    table = ["barcode,is_cell", *(f"{name},{int(name in names[:5])}" for name in names)]
    (outs / "per_barcode_metrics.csv").write_text("\n".join(table))
    with pytest.warns(AnnatacWarning, match="per_barcode_metrics"):
        assert read_one(outs).obs_names.tolist() == names[:5]
    write_mtx(outs / "filtered_peak_bc_matrix", adata.X, adata.obs_names.tolist(), peaks)
    assert read_one(outs).shape == adata.shape
    with pytest.warns(AnnatacWarning, match="per_barcode_metrics"):
        assert read_one(outs, peaks=peaks).shape == (5, len(peaks))
