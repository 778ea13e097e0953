"""Small inputs in every format, made from one matrix or one list of fragments."""

from __future__ import annotations

import gzip
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse as sp

Fragments = pd.DataFrame


def write_10x_h5(
    path: Path,
    counts: sp.csr_matrix,
    barcodes: list[str],
    names: list[str],
    *,
    types: list[str] | None = None,
    genome: str = "GRCh38",
    interval: list[str] | None = None,
) -> Path:
    by_cell = sp.csr_matrix(counts)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array(barcodes, dtype="S")
        group["data"] = by_cell.data.astype(np.int32)
        group["indices"] = by_cell.indices.astype(np.int64)
        group["indptr"] = by_cell.indptr.astype(np.int64)
        group["shape"] = np.array(counts.shape[::-1], dtype=np.int32)
        features = group.create_group("features")
        features["id"] = np.array(names, dtype="S")
        features["name"] = np.array(names, dtype="S")
        features["feature_type"] = np.array(types or ["Peaks"] * len(names), dtype="S")
        features["genome"] = np.array([genome] * len(names), dtype="S")
        if interval is not None:
            features["interval"] = np.array(interval, dtype="S")
    return path


def write_mtx(
    folder: Path, counts: sp.csr_matrix, barcodes: list[str], peaks: pd.DataFrame, *, gz: bool = False
) -> Path:
    folder.mkdir()
    scipy.io.mmwrite(folder / "matrix.mtx", counts.T.tocoo(), field="integer")
    (folder / "barcodes.tsv").write_text("".join(f"{name}\n" for name in barcodes))
    peaks.to_csv(folder / "peaks.bed", sep="\t", header=False, index=False)
    if gz:
        for name in ("matrix.mtx", "barcodes.tsv", "peaks.bed"):
            (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
            (folder / name).unlink()
    return folder


def write_fragments(path: Path, table: Fragments, *, columns: int = 5, header: str = "") -> Path:
    text = header + table.iloc[:, :columns].to_csv(sep="\t", header=False, index=False)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def oracle_bins(table: Fragments, bin_size: int = 5000) -> pd.Series:
    """Count insertions with pandas alone: (barcode, bin name) -> n."""
    ends = pd.concat(
        [
            table[["chrom", "barcode"]].assign(position=table["start"]),
            table[["chrom", "barcode"]].assign(position=table["end"] - 1),
        ]
    )
    first = ends["position"] // bin_size * bin_size
    name = ends["chrom"] + ":" + first.astype(str) + "-" + (first + bin_size).astype(str)
    return ends.assign(bin=name).groupby(["barcode", "bin"]).size()


def oracle_peaks(table: Fragments, peaks: pd.DataFrame) -> pd.DataFrame:
    """Count insertions in peaks, peak by peak: cells x peaks."""
    cells = sorted(table["barcode"].unique())
    columns = []
    for chrom, start, end in peaks[["chrom", "start", "end"]].itertuples(index=False):
        here = table[table["chrom"] == chrom]
        inside = ((here["start"] >= start) & (here["start"] < end)).astype(int)
        inside += (here["end"] - 1 >= start) & (here["end"] - 1 < end)
        columns.append(inside.groupby(here["barcode"]).sum().reindex(cells, fill_value=0))
    return pd.concat(columns, axis=1)


def as_series(adata: ad.AnnData) -> pd.Series:
    """Return (barcode, feature) -> count of the stored entries of X."""
    x = adata.X.tocoo()
    index = pd.MultiIndex.from_arrays(
        [adata.obs_names.to_numpy()[x.row], adata.var_names.to_numpy()[x.col]], names=["barcode", "bin"]
    )
    return pd.Series(x.data.astype(np.int64), index=index).sort_index()


def write_arrow(path: Path, table: Fragments, *, sample: str = "S1", passed: list[str] | None = None) -> Path:
    """Write fragments as ArchR does: 1-based start beside end minus that start, arrays transposed."""
    with h5py.File(path, "w") as file:
        file["Class"] = np.array([b"Arrow"])
        file["ArchRVersion"] = np.array([b"1.0.2"])
        file["Metadata/Sample"] = np.array([sample.encode()])
        file["Metadata/CellNames"] = np.array(passed or sorted(table["barcode"].unique()), dtype="S")
        for chrom, part in table.groupby("chrom"):
            part = part.sort_values("barcode", kind="stable")
            runs = part.groupby("barcode", sort=True).size()
            first = part["start"].to_numpy() + 1
            group = file.create_group(f"Fragments/{chrom}")
            group["Ranges"] = np.stack([first, part["end"].to_numpy() - first]).astype(np.int32)
            group["RGLengths"] = runs.to_numpy().astype(np.int32)[None, :]
            group["RGValues"] = np.array(runs.index.tolist(), dtype="S")[None, :]
    return path


def write_snapatac2(path: Path, table: Fragments, *, slot: str = "fragment_paired") -> Path:
    """Write fragments as SnapATAC2 does: column = base over all chromosomes, value = length."""
    chroms = {"chr1": 2_100_000_000, "chr10": 2_100_000_000, "GL000009.2": 2_100_000_000}
    offset = dict(zip(chroms, np.cumsum([0, *list(chroms.values())[:-1]]), strict=True))
    names = sorted(table["barcode"].unique())
    row = table["barcode"].map({name: i for i, name in enumerate(names)}).to_numpy()
    column = (table["start"] + table["chrom"].map(offset)).to_numpy(dtype=np.int64)
    width = (table["end"] - table["start"]).to_numpy()
    if slot == "fragment_single":  # the two ends as two reads, forward (> 0) and reverse (< 0)
        row, column = np.tile(row, 2), np.concatenate([column, column + width - 1])
        width = np.concatenate([width, -width])
    order = np.lexsort((column, row))
    obs = pd.DataFrame({"n_fragment": table.groupby("barcode").size().reindex(names).to_numpy()}, index=names)
    reference = pd.DataFrame(
        {"reference_seq_name": list(chroms), "reference_seq_length": np.array(list(chroms.values()))}
    )
    ad.AnnData(obs=obs, uns={"reference_sequences": reference}).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        group = file["obsm"].create_group(slot)
        group.attrs["encoding-type"], group.attrs["encoding-version"] = "csr_matrix", "0.1.0"
        group.attrs["shape"] = np.array([len(names), sum(chroms.values())])
        group["data"] = width[order].astype(np.int32 if slot == "fragment_single" else np.uint32)
        group["indices"] = column[order]
        group["indptr"] = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(names)))])
    return path
