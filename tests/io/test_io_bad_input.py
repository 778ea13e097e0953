"""Every input that cannot be used gets one clear error."""

from __future__ import annotations

import gzip
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from io_inputs import write_10x_h5, write_arrow, write_fragments, write_mtx, write_snapatac2

from annatac.errors import AnnatacError, ConfigError, DamagedFileError, InputError, MissingFileError
from annatac.io import read_one


def test_missing(tmp_path: Path) -> None:
    for name in ("x.h5ad", "fragments.tsv.gz", "outs"):
        with pytest.raises(MissingFileError, match="does not exist"):
            read_one(tmp_path / name)


@pytest.mark.parametrize("n_bytes", [100, 3000, -200])
@pytest.mark.parametrize("kind", ["h5ad", "h5", "arrow", "h5mu", "snapatac2.h5ad"])
def test_truncated_hdf5(
    kind: str, n_bytes: int, tmp_path: Path, adata: ad.AnnData, fragments: pd.DataFrame
) -> None:
    path = tmp_path / f"x.{kind}"
    if kind == "h5ad":
        adata.write_h5ad(path)
    elif kind == "h5":
        write_10x_h5(path, adata.X, adata.obs_names.tolist(), adata.var_names.tolist())
    elif kind == "arrow":
        write_arrow(path, fragments)
    elif kind == "h5mu":
        with h5py.File(path, "w") as file:
            ad.io.write_elem(file, "mod/atac", adata)
    else:
        write_snapatac2(path, fragments)
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(DamagedFileError, match="is damaged: HDF5 says") as caught:
        read_one(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["matrix.mtx", "barcodes.tsv", "peaks.bed"])
def test_truncated_gzip_in_a_folder(
    name: str, tmp_path: Path, adata: ad.AnnData, peaks: pd.DataFrame
) -> None:
    folder = write_mtx(tmp_path / "m", adata.X, adata.obs_names.tolist(), peaks, gz=True)
    path = folder / f"{name}.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DamagedFileError, match=rf"{name}\.gz is (truncated|damaged)"):
        read_one(folder)


def test_truncated_text_matrix(tmp_path: Path, adata: ad.AnnData, peaks: pd.DataFrame) -> None:
    folder = write_mtx(tmp_path / "m", adata.X, adata.obs_names.tolist(), peaks)
    lines = (folder / "matrix.mtx").read_text().splitlines()
    (folder / "matrix.mtx").write_text("\n".join(lines[:-10]))
    with pytest.raises(DamagedFileError, match=r"matrix\.mtx is truncated or damaged"):
        read_one(folder)


def test_rna_given_as_atac(tmp_path: Path, adata: ad.AnnData, peaks: pd.DataFrame) -> None:
    genes = [f"ENSG{i}" for i in range(adata.n_vars)]
    barcodes = adata.obs_names.tolist()
    types = ["Gene Expression"] * 11 + ["Antibody Capture"]
    path = write_10x_h5(tmp_path / "filtered_feature_bc_matrix.h5", adata.X, barcodes, genes, types=types)
    with pytest.raises(InputError, match=r"11 x 'Gene Expression', 1 x 'Antibody Capture'.*an RNA matrix"):
        read_one(path)
    folder = write_mtx(tmp_path / "m", adata.X, barcodes, peaks)
    (folder / "peaks.bed").unlink()
    (folder / "features.tsv").write_text("".join(f"{g}\t{g}\tGene Expression\n" for g in genes))
    with pytest.raises(InputError, match="an RNA matrix"):
        read_one(folder)
    (folder / "features.tsv").rename(folder / "genes.tsv")
    with pytest.raises(InputError, match=r"an RNA matrix \(it has genes.tsv"):
        read_one(folder)
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["GRCh38/gene_names"] = np.array([b"CD4"])
    with pytest.raises(InputError, match="RNA matrix of Cell Ranger 2"):
        read_one(tmp_path / "old.h5")


def test_empty_matrices(tmp_path: Path, adata: ad.AnnData, peaks: pd.DataFrame) -> None:
    none = sp.csr_matrix(adata.shape, dtype=np.int32)
    barcodes, names = adata.obs_names.tolist(), adata.var_names.tolist()
    write_10x_h5(tmp_path / "counts.h5", none, barcodes, names)
    write_10x_h5(tmp_path / "cells.h5", none[:0], [], names)
    write_mtx(tmp_path / "mtx", none, barcodes, peaks)
    adata[:0].write_h5ad(tmp_path / "cells.h5ad")
    adata[:, :0].copy().write_h5ad(tmp_path / "features.h5ad")
    ad.AnnData(none.toarray(), obs=adata.obs, var=adata.var).write_h5ad(tmp_path / "dense.h5ad")
    for name in ("counts.h5", "cells.h5", "mtx", "cells.h5ad", "features.h5ad", "dense.h5ad"):
        with pytest.raises(InputError, match=r"is empty: .* no (cells|features|counts)\. Expected"):
            read_one(tmp_path / name)


def test_h5ad_without_x(tmp_path: Path, adata: ad.AnnData) -> None:
    ad.AnnData(obs=adata.obs, var=adata.var, layers={"counts": adata.X}).write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(InputError, match=r"has no X.*layers counts.*adata.layers\['counts'\]"):
        read_one(tmp_path / "x.h5ad")


def test_unknown_kinds(tmp_path: Path) -> None:
    contents = {
        "notes.txt": b"hello\n",
        "empty.h5ad": b"",
        "object.rds": gzip.compress(b"X\n\0\0"),
        "seurat.rdata": gzip.compress(b"RDX3\nX\n"),
        "reads.bam": gzip.compress(b"BAM\1...."),
        "x.tsv.gz.tbi": gzip.compress(b"TBI\1...."),
        "bed3.txt": b"chr1\tone\ttwo\n",
        "table.csv": b"barcode,type\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            InputError, match=r"unknown kind|empty file|an R object|a BAM file|an index"
        ) as caught:
            read_one(tmp_path / name)
        assert caught.value.exit_code == 2
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["something"] = 1
    with pytest.raises(InputError, match=r"unknown kind: it holds something.*Accepted are"):
        read_one(tmp_path / "x.h5")


def test_wrong_folders(tmp_path: Path, adata: ad.AnnData, peaks: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="it has nothing"):
        read_one(tmp_path)
    (tmp_path / "web_summary.html").write_text("x")
    with pytest.raises(InputError, match=r"it has web_summary.html.*Accepted are"):
        read_one(tmp_path)
    folder = write_mtx(tmp_path / "m", adata.X, adata.obs_names.tolist(), peaks)
    (folder / "barcodes.tsv").write_text("A-1\n")
    with pytest.raises(InputError, match="do not belong together"):
        read_one(folder)
    (folder / "barcodes.tsv").unlink()
    with pytest.raises(InputError, match=r"lacks barcodes\.tsv"):
        read_one(folder)


def test_zarr_of_something_else(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    zarr.open_group(str(tmp_path / "x.zarr"), mode="w").create_group("other")
    with pytest.raises(InputError, match="not one of AnnData: it has other"):
        read_one(tmp_path / "x.zarr")


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_zarr_with_a_part_missing(tmp_path: Path, adata: ad.AnnData) -> None:
    pytest.importorskip("zarr")
    adata.write_zarr(tmp_path / "x.zarr")
    for part in (tmp_path / "x.zarr" / "X" / "indptr").rglob("*"):
        if part.is_file():
            part.write_bytes(b"")
    with pytest.raises(AnnatacError):
        read_one(tmp_path / "x.zarr")


def test_mudata_without_atac(tmp_path: Path, adata: ad.AnnData) -> None:
    with h5py.File(tmp_path / "x.h5mu", "w") as file:
        ad.io.write_elem(file, "mod/rna", adata)
    with pytest.raises(InputError, match="no modality 'atac'; it has rna"):
        read_one(tmp_path / "x.h5mu")


def test_fragment_options_are_refused_for_a_matrix(tmp_path: Path, adata: ad.AnnData) -> None:
    adata.write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(InputError, match="min_fragments cannot be applied"):
        read_one(tmp_path / "x.h5ad", min_fragments=5)


@pytest.mark.filterwarnings("ignore::annatac.errors.AnnatacWarning")
def test_bad_options_for_fragments(tmp_path: Path, fragments: pd.DataFrame) -> None:
    path = write_fragments(tmp_path / "fragments.tsv.gz", fragments)
    with pytest.raises(ConfigError, match="bin_size is 0"):
        read_one(path, bin_size=0)
    with pytest.raises(InputError, match="lack the columns end"):
        read_one(path, peaks=pd.DataFrame({"chrom": ["chr1"], "start": [1]}))
    with pytest.raises(InputError, match="are empty"):
        read_one(path, peaks=pd.DataFrame({"chrom": [], "start": [], "end": []}))
    (tmp_path / "none.txt").write_text("barcode\n")
    with pytest.raises(InputError, match="holds no barcode"):
        read_one(path, barcodes=tmp_path / "none.txt")
    (tmp_path / "singlecell.csv").write_text("barcode,is__cell_barcode\nA-1,0\n")
    with pytest.raises(InputError, match="calls no barcode a cell"):
        read_one(path)


def test_broken_arrow_and_snapatac2(tmp_path: Path, fragments: pd.DataFrame) -> None:
    path = write_arrow(tmp_path / "x.arrow", fragments)
    with h5py.File(path, "r+") as file:
        file["Fragments/chr1/Ranges"][0, 5] = 0
    with pytest.raises(InputError, match="fragment 5 of chr1 has start 0"):
        read_one(path)
    with h5py.File(path, "r+") as file:
        del file["Fragments"]
        file.create_group("Fragments")
    with pytest.raises(InputError, match="holds no fragments"):
        read_one(path)
    path = write_snapatac2(tmp_path / "x.h5ad", fragments)
    with h5py.File(path, "r+") as file:
        file["obsm/fragment_paired/indices"][7] = 10**11
    with pytest.raises(InputError, match=r"starts at base 100,000,000,000 .* the reference has"):
        read_one(path)
    with h5py.File(path, "r+") as file:
        del file["uns/reference_sequences"]
    with pytest.raises(InputError, match="no uns\\['reference_sequences'\\]"):
        read_one(path)
