"""Public data sets by name: where they lie on this machine, and their content.

Nothing is downloaded. A name is looked up in ``$ANNATAC_DATA``, then in ``shared/data`` beside (or inside)
the checkout of the repository, then in the user's cache. Commands and scripts name data sets, never paths.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annatac.errors import ConfigError, InputError, MissingFileError, nearest

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One data set: its file inside a data folder, how it is read, its assembly, and what it holds.

    ``target`` is the assembly that a chain leads to.
    """

    file: str
    kind: str  # 'h5ad', 'fragments', 'npz', 'genes' or 'chain'
    genome: str
    about: str
    target: str = ""


DATASETS: dict[str, Dataset] = {
    "granja2019_bmmc_d6t1": Dataset(
        file="labelled/granja2019_bmmc_d6t1_hg19.h5ad",
        kind="h5ad",
        genome="hg19",
        about="bone marrow, one donor, 10,335 cells x 10,000 peaks, 16 types (10 in cell_type_coarse)",
    ),
    "buenrostro2018_bm0828": Dataset(
        file="labelled/buenrostro2018_bm0828_hg19.h5ad",
        kind="h5ad",
        genome="hg19",
        about="FACS-sorted blood progenitors, 533 deep cells x 35,983 peaks, 7 types",
    ),
    "chen2019_snare_adcortex": Dataset(
        file="labelled/chen2019_snare_adcortex_a-h_mm10.h5ad",
        kind="h5ad",
        genome="mm10",
        about="mouse cortex, 6,197 very sparse cells x 25,734 peaks, 14 types, libraries 09A..09H (batch)",
    ),
    "schep2017_lines": Dataset(
        file="labelled/schep2017_lines_hg19.h5ad",
        kind="h5ad",
        genome="hg19",
        about="600 cells x 5,036 peaks of 12 cell lines and types, 50 each",
    ),
    "neurips2021_bmmc_600peaks": Dataset(
        file="labelled/neurips2021_bmmc_600peaks_a_hg38.h5ad",
        kind="h5ad",
        genome="hg38",
        about="bone marrow, 500 cells x 599 peaks, 21 types: smoke tests only",
    ),
    "buenrostro2015_gm_h1": Dataset(
        file="labelled/buenrostro2015_gm_h1_hg19.h5ad",
        kind="h5ad",
        genome="hg19",
        about="50 cells x 29,269 peaks of GM12878 and H1: tiny tests",
    ),
    "scabc_bj_tf1_chr12": Dataset(
        file="labelled/scabc_bj_tf1_chr12_hg19.h5ad",
        kind="h5ad",
        genome="hg19",
        about="167 cells x 1,183 peaks of chr12, BJ and TF1: tiny tests",
    ),
    "pbsmall_fragments": Dataset(
        file="fragments/pbsmall_hg19.fragments.tsv.gz",
        kind="fragments",
        genome="hg19",
        about="150 sorted blood cells, 29,399 fragments of chr5 and chr11; the barcode's letter is its type",
    ),
    "calderon2019_fragments": Dataset(
        file="fragments/calderon2019_tcell_bulk33_hg38.fragments.tsv.gz",
        kind="fragments",
        genome="hg38",
        about="33 sorted bulk T-cell samples (S01..S33), 5,946,068 fragments of chr12 and chr21",
    ),
    "calderon2019_bulk": Dataset(
        file="bulk/calderon2019_tcell_bulk33_hg38.h5ad",
        kind="h5ad",
        genome="hg38",
        about="33 sorted bulk T-cell samples x 13,730 peaks",
    ),
    "dnase_164_bulk": Dataset(
        file="bulk/dnase_164_hg19_bins500_min8_q4.npz",
        kind="npz",
        genome="hg19",
        about="DNase signal of 164 human cell types and tissues in 722,691 bins of 500 bp",
    ),
    "hema_bulk16": Dataset(
        file="bulk/hema_bulk16_hemePeaks_hg19.npz",
        kind="npz",
        genome="hg19",
        about="sorted bulk ATAC of 16 blood types x 451,283 peaks",
    ),
    "hg19_genes": Dataset(
        file="genome/hg19_genes.bed.gz", kind="genes", genome="hg19", about="genes with strand, human hg19"
    ),
    "hg38_genes": Dataset(
        file="genome/hg38_genes.bed.gz", kind="genes", genome="hg38", about="genes with strand, human hg38"
    ),
    "mm10_genes": Dataset(
        file="genome/mm10_genes.bed.gz", kind="genes", genome="mm10", about="genes with strand, mouse mm10"
    ),
    "hg19_to_hg38_chain": Dataset(
        file="genome/hg19ToHg38.over.chain.gz",
        kind="chain",
        genome="hg19",
        about="UCSC liftover chain from hg19 to hg38",
        target="hg38",
    ),
}


def names() -> list[str]:
    """Return the names of all known data sets, whether they are on this machine or not."""
    return list(DATASETS)


def info(name: str) -> Dataset:
    """Return what is known of a data set without reading it.

    Raises
    ------
    ConfigError
        The name is unknown; the message gives the nearest one.
    """
    try:
        return DATASETS[name]
    except KeyError:
        raise ConfigError(
            f"Unknown data set '{name}'.{nearest(name, DATASETS)} Known are: {', '.join(DATASETS)}."
        ) from None


def cache_folder() -> Path:
    """Return annatac's folder in the user's cache, there or not."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "annatac"


def folders() -> list[Path]:
    """Return the folders that are searched, in order, whether they exist or not."""
    found: list[Path] = []
    if stated := os.environ.get("ANNATAC_DATA"):
        found.append(Path(stated).expanduser())
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file():  # an installed package has no checkout around it
        found += [root.parent / "shared" / "data", root / "shared" / "data"]
    found.append(Path.cwd() / "shared" / "data")
    found.append(cache_folder())
    return list(dict.fromkeys(found))


def path(name: str) -> Path:
    """Return where the file of data set ``name`` lies.

    Each folder of :func:`folders` may hold the file in its subfolder (``labelled/``, ``fragments/``,
    ``bulk/``, ``genome/``) or directly.

    Raises
    ------
    ConfigError
        The name is unknown; the message gives the nearest one.
    MissingFileError
        The data set is known but in none of the folders; the message lists them.
    """
    file = info(name).file
    searched = folders()
    for folder in searched:
        for candidate in (folder / file, folder / Path(file).name):
            if candidate.is_file():
                return candidate
    stated = "" if os.environ.get("ANNATAC_DATA") else "  $ANNATAC_DATA (not set)\n"
    places = "\n".join(f"  {folder}" for folder in searched)
    raise MissingFileError(
        f"Data set '{name}' ({file}) is not on this machine. Searched:\n{stated}{places}\n"
        f"Set ANNATAC_DATA to the folder that holds {file}, or put the file into one of these folders."
    )


def is_here(name: str) -> bool:
    """Return whether :func:`path` finds the data set on this machine."""
    try:
        path(name)
    except MissingFileError:
        return False
    return True


def chain_between(one: str, other: str) -> Path | None:
    """Return a liftover chain between two assemblies (in either direction) on this machine, or None."""
    for name, dataset in DATASETS.items():
        if dataset.kind == "chain" and {dataset.genome, dataset.target} == {one, other} and is_here(name):
            return path(name)
    return None


def load(name: str) -> Any:
    """Return the content of data set ``name``, read into memory.

    Returns
    -------
    AnnData for ``.h5ad`` (cells x peaks, integer counts) and for fragment files (cells x 5-kb islands,
    insertions); a dict of numpy arrays for ``.npz``; a DataFrame of genes (chrom, start, end, symbol, strand,
    tss) for gene tables.

    Raises
    ------
    ConfigError
        The name is unknown.
    MissingFileError
        The data set is on none of the places that :func:`path` searches.
    InputError
        The data set is a file to hand on (a liftover chain), not something to load.
    """
    dataset, file = info(name), path(name)
    if dataset.kind == "h5ad":
        import anndata

        return anndata.read_h5ad(file)
    if dataset.kind == "npz":
        import numpy as np

        with np.load(file, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    if dataset.kind == "genes":
        from annatac.genome.annotation import read_genes

        return read_genes(file)
    if dataset.kind == "fragments":
        from annatac.io import read_one

        return read_one(file, genome=dataset.genome)
    raise InputError(f"'{name}' is a {dataset.kind} file with no content to load: use its path ({file}).")


def load_profiles(name: str) -> AnnData:
    """Return the bulk profiles of data set ``name``: profiles x peaks.

    Returns
    -------
    AnnData: X float32 CSR, linear accessibility, 0 where there is no peak; ``obs['cell_type']``; ``var`` chrom,
    start, end (0-based, half-open); ``uns['genome']``. What signal the files keep: of ``dnase_164_bulk`` quartiles of
    the peak signal within a profile, taken as 1, 2, 4 and 8; of ``hema_bulk16`` rounded logarithms, whose steps fit 16
    a doubling, and whose least value (27 to 34) is some ten reads.

    Raises
    ------
    ConfigError, MissingFileError
        See :func:`path`.
    InputError
        The data set holds no bulk profiles.
    """
    import numpy as np
    import pandas as pd
    import scipy.sparse as sp
    from anndata import AnnData

    dataset = info(name)
    if dataset.kind == "h5ad" and Path(dataset.file).parent.name == "bulk":
        return load(name)
    if dataset.kind != "npz":
        known = [key for key, entry in DATASETS.items() if Path(entry.file).parent.name == "bulk"]
        raise InputError(f"'{name}' holds no bulk profiles; these do: {', '.join(known)}.")
    arrays = load(name)
    if "counts" in arrays:  # CSC of quartiles: bins x profiles
        indptr = np.concatenate([[0], np.cumsum(arrays["counts"], dtype=np.int64)])
        levels = np.array([0, 1, 2, 4, 8], dtype=np.float32)[arrays["data"]]
        shape = (len(arrays["cell_type"]), len(arrays["counts"]))
        signal = sp.csc_matrix((levels, arrays["indices"].astype(np.int32), indptr), shape=shape).tocsr()
        start = arrays["start500"].astype(np.int64) * 500
        end = start + 500
    else:
        signal = sp.csr_matrix(arrays["X"], dtype=np.float32)
        signal.data = np.exp2(signal.data / 16)
        start, end = arrays["start"].astype(np.int64), arrays["end"].astype(np.int64)
    chrom = arrays["chrom_names"][arrays["chrom"]].astype(object)
    var = pd.DataFrame({"chrom": chrom, "start": start, "end": end})
    var.index = var.index.astype(str)
    types = arrays["cell_type"].astype(object)
    obs = pd.DataFrame({"cell_type": types}, index=[f"{i + 1} {kind}" for i, kind in enumerate(types)])
    return AnnData(signal, obs=obs, var=var, uns={"genome": dataset.genome})
