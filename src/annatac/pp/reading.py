"""One input or several -> one AnnData."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import AnnatacWarning, AssemblyError, ConfigError, InputError
from annatac.genome.assemblies import genome_label
from annatac.genome.chroms import sort_key
from annatac.io.read import read_one
from annatac.pp.counts import as_csr, map_columns
from annatac.pp.islands import peak_islands

if TYPE_CHECKING:
    from anndata import AnnData

_SUFFIXES = re.compile(r"(\.(tsv|gz|bgz|h5|h5ad|h5mu|zarr|arrow|mtx|bed|fragments))+$", re.IGNORECASE)
_GENERIC = re.compile(
    r"((filtered|raw)_(peak|feature|tf)_bc_matrix|(atac_)?fragments|outs?|matrix|data|adata|atac|mtx)"
)


def read(
    inputs: str | Path | Sequence[str | Path],
    *,
    samples: Sequence[str] | None = None,
    genome: str | None = None,
    barcodes: Any = None,
    min_fragments: int | None = None,
    peaks: str | Path | pd.DataFrame | None = None,
    bin_size: int = 5000,
    chrom_sizes: str | Path | Mapping[str, int] | None = None,
    backed: bool = False,
) -> AnnData:
    """Return the cells of one input as they are, or of several inputs over the union of their islands.

    Parameters
    ----------
    inputs
        One path or several: Cell Ranger ATAC or ARC matrices (``.h5``, folders, ``outs/``), ``.h5ad``,
        ``.zarr``, ``.h5mu``, ArchR ``.arrow``, SnapATAC2 ``.h5ad``, ``fragments.tsv(.gz)``.
    samples
        Names of several inputs; by default taken from their paths.
    genome
        The assembly, in any spelling, or a chromosome-lengths file.
    barcodes
        The cells to keep: names or a file; for several inputs also ``{sample: names or file}``.
    min_fragments, peaks, chrom_sizes
        For fragments, see :func:`annatac.io.read_one`.
    bin_size
        Width in bp of the bins that fragments are counted in, and of the islands of several inputs.
    backed
        One input only: leave X on disk, see :func:`annatac.io.read_one`.

    Returns
    -------
    One input: see :func:`annatac.io.read_one`; barcodes stay as they are. Several: cells x islands as
    :func:`annatac.pp.peak_islands` gives them (an island that a sample did not measure is 0 there), obs_names
    ``sample:barcode``, ``obs['sample']`` (categorical), ``uns['genome']``.

    Raises
    ------
    InputError, MissingFileError, DamagedFileError, ConfigError
        See :func:`annatac.io.read_one`; also inputs with and without coordinates together.
    AssemblyError
        The inputs state different assemblies.
    """
    paths = [Path(inputs)] if isinstance(inputs, str | Path) else [Path(path) for path in inputs]
    if not paths:
        raise ConfigError("No input was given. Give the path of a matrix or of fragments.")
    names = sample_names(paths) if samples is None else [str(name) for name in samples]
    if len(names) != len(paths) or len(set(names)) != len(names):
        raise ConfigError(
            f"{len(paths)} inputs need as many different sample names, found {', '.join(names)}. Name "
            "each once."
        )
    if isinstance(barcodes, Mapping) and set(barcodes) - set(names):
        unknown = ", ".join(sorted(set(barcodes) - set(names)))
        raise ConfigError(f"Barcodes are given for unknown samples: {unknown}. Samples: {', '.join(names)}.")

    def one(path: Path, name: str) -> AnnData:
        return read_one(
            path,
            genome=genome,
            barcodes=barcodes.get(name) if isinstance(barcodes, Mapping) else barcodes,
            min_fragments=min_fragments,
            peaks=peaks,
            bin_size=bin_size,
            chrom_sizes=chrom_sizes,
            backed=backed and len(paths) == 1,
        )

    if len(paths) == 1:
        return one(paths[0], names[0])
    return join_samples(
        (peak_islands(one(path, name), bin_size=bin_size) for path, name in zip(paths, names, strict=True)),
        names,
    )


def join_samples(islands: Iterable[AnnData], samples: Sequence[str]) -> AnnData:
    """Return several samples (cells x islands) as one, over the union of their islands.

    Returns
    -------
    As :func:`read` for several inputs.

    Raises
    ------
    AssemblyError, InputError
        The samples state different assemblies; some have coordinates and some have none.
    """
    from anndata import AnnData

    parts = list(islands)
    genome = _one_genome(parts, samples)
    made = [dict(part.uns.get(keys.ISLANDS, {})) for part in parts]
    with_coordinates = [keys.CHROM in part.var for part in parts]
    if any(with_coordinates) and not all(with_coordinates):
        odd = samples[with_coordinates.index(False)]
        raise InputError(
            f"The features of sample '{odd}' have no coordinates, those of others have: they cannot be "
            "joined. Give that sample peak coordinates, or annotate it alone."
        )
    sources = {str(entry.get("source")) for entry in made}
    if len(sources) > 1:
        warnings.warn(
            f"Samples from {' and '.join(sorted(sources))} are joined: bins counted whole are more open than "
            "means of peaks. To count all alike, give fragments for every sample, and peaks to count in.",
            AnnatacWarning,
            stacklevel=2,
        )
    var = _union([part.var for part in parts], coordinates=all(with_coordinates))
    x = sp.vstack(
        [map_columns(as_csr(part.X), _positions(var, part), len(var)) for part in parts], format="csr"
    )
    obs = pd.concat([part.obs for part in parts])
    n_cells = [part.n_obs for part in parts]
    sample = np.repeat(np.asarray(samples, dtype=object), n_cells)
    obs.index = pd.Index([f"{s}:{b}" for s, b in zip(sample, obs.index, strict=True)])
    obs[keys.SAMPLE] = pd.Categorical(sample, categories=list(samples))
    for column in obs.columns:
        if obs[column].dtype.kind == "O" and obs[column].isna().any():  # a sample lacks it
            obs[column] = obs[column].astype("category")
    source = sources.pop() if len(sources) == 1 else "mixed"
    uns: dict[str, Any] = {keys.ISLANDS: made[0] | {"source": source}}
    if genome is not None:
        uns[keys.GENOME] = genome
    return AnnData(sp.csr_matrix(x), obs=obs, var=var, uns=uns)


def _positions(var: pd.DataFrame, part: AnnData) -> npt.NDArray[np.int64]:
    return var.index.get_indexer(part.var_names).astype(np.int64)


def _one_genome(parts: Sequence[AnnData], samples: Sequence[str]) -> str | None:
    stated = {
        sample: str(part.uns[keys.GENOME])
        for sample, part in zip(samples, parts, strict=True)
        if part.uns.get(keys.GENOME)
    }
    if len({genome_label(name) for name in stated.values()}) > 1:
        shown = ", ".join(f"{sample}: {genome_label(name)}" for sample, name in stated.items())
        raise AssemblyError(
            f"The inputs are on different assemblies ({shown}). Map them to one (lift peaks or fragments), "
            "or annotate them apart."
        )
    return next(iter(stated.values()), None)


def _union(tables: Sequence[pd.DataFrame], *, coordinates: bool) -> pd.DataFrame:
    """Return the union of islands in the order of the genome, with the peaks of all samples."""
    index = tables[0].index
    for table in tables[1:]:
        index = index.union(table.index, sort=False)
    columns = [c for c in (keys.CHROM, keys.START, keys.END, keys.GENES) if all(c in t for t in tables)]
    var = pd.concat([table[columns] for table in tables])
    var = var[~var.index.duplicated()].loc[index]
    if not coordinates:
        return var.assign(**{keys.N_PEAKS: np.ones(len(var), dtype=np.int32)})
    spans: dict[str, set[str]] = {name: set() for name in index}
    for table in tables:
        for name, peaks in zip(table.index, table[keys.PEAKS], strict=True):
            spans[name].update(peaks.split(";"))  # '' stands for a bin that was counted whole
    joined = {
        name: "" if "" in found else ";".join(sorted(found, key=lambda span: int(span.split("-")[0])))
        for name, found in spans.items()
    }
    var[keys.N_PEAKS] = np.array([len(spans[name] - {""}) or 1 for name in index], dtype=np.int32)
    var[keys.PEAKS] = [joined[name] for name in index]
    rank = {chrom: i for i, chrom in enumerate(sorted(set(var[keys.CHROM]), key=sort_key))}
    return var.iloc[np.lexsort((var[keys.START], var[keys.CHROM].map(rank)))]


def sample_names(paths: Sequence[Path]) -> list[str]:
    """Return a name an input: of the file, or of the first folder above it that says more than 'outs'."""
    names = []
    for path in paths:
        name = _SUFFIXES.sub("", path.name)
        for folder in path.absolute().parents:
            if not _GENERIC.fullmatch(name) or not folder.name:
                break
            name = folder.name
        names.append(name)
    if len(set(names)) < len(names):
        names = [f"{name}-{i}" if names.count(name) > 1 else name for i, name in enumerate(names, start=1)]
    return names
