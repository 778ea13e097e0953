"""Annotated cells: counts, open peaks and coverage of each type (and sample) in a folder."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from annatac import keys
from annatac.errors import AnnatacWarning
from annatac.genome.intervals import intervals_of
from annatac.io.atomic import atomic_dir
from annatac.io.read import read_one
from annatac.io.safe_names import safe_names
from annatac.jobs.fragments import fragment_files
from annatac.tl.contrasts.pseudobulks import N_COUNTS, SHARE

if TYPE_CHECKING:
    from anndata import AnnData

COUNTS, TABLE, PEAKS, TRACKS = "counts.h5ad", "groups.csv", "peaks", "tracks"
_GROUP = "group"  # obs of the cells whose fragments are added up


def pseudobulk(
    path: str | Path,
    output: str | Path,
    *,
    groupby: str | None = None,
    sample_key: str | None = None,
    min_cells: int = 10,
    min_share: float = 0.05,
    fragments: Sequence[str | Path] = (),
    file_format: str = "bigwig",
    genome: str | None = None,
    bin_size: int = 50,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Write a folder of the counts of each type, or of each type in each sample, added up over its cells.

    ``counts.h5ad`` (groups x peaks, see :func:`annatac.tl.pseudobulk`), ``groups.csv`` (a row a group, with the names
    of its files), ``peaks/`` (BED: peaks open in at least ``min_share`` of the group's cells; where peaks have
    coordinates), and with ``fragments`` ``tracks/`` (see :func:`annatac.tl.export_coverage`).

    Parameters
    ----------
    file_format, genome, bin_size
        Of the tracks.

    Returns
    -------
    DataFrame, the content of ``groups.csv``: group, cell_type, sample (with ``sample_key``), n_cells, n_counts,
    n_open_peaks, bed, track.

    Raises
    ------
    LabelError, InputError, ConfigError, AssemblyError, OutputError, MissingDependencyError
        See the two functions; nothing is written then.
    """
    from annatac import tl

    adata = read_one(path, backed=True)
    with atomic_dir(output, overwrite=overwrite) as folder:
        bulks = tl.pseudobulk(adata, groupby or keys.LABEL, sample_key=sample_key, min_cells=min_cells)
        bulks.write_h5ad(folder / COUNTS)
        table = bulks.obs.reset_index(names=_GROUP)
        table[N_COUNTS] = table[N_COUNTS].round().astype(int)
        names = [str(name) for name in table[_GROUP]]
        if intervals_of(adata.var) is not None:
            (folder / PEAKS).mkdir()
            table["n_open_peaks"] = (bulks.layers[SHARE] >= min_share).sum(axis=1)
            table["bed"] = [f"{PEAKS}/{slug}.bed" for slug in safe_names(names)]
            for name, bed in zip(names, table["bed"], strict=True):
                tl.write_open_peaks(bulks, folder / bed, group=name, min_share=min_share)
        else:
            warnings.warn(
                f"The features have no coordinates (the first is '{adata.var_names[0]}'): no BED is written.",
                AnnatacWarning,
                stacklevel=2,
            )
        if fragments:
            tracks = tl.export_coverage(
                _members(adata, bulks, groupby or keys.LABEL, sample_key),
                fragment_files(fragments),
                folder / TRACKS,
                groupby=_GROUP,
                min_cells=1,
                file_format=file_format,
                genome=genome,
                bin_size=bin_size,
            )
            of = dict(zip(tracks["cell_type"], tracks["file"], strict=True))
            table["track"] = [f"{TRACKS}/{of[name]}" for name in names]
        table.to_csv(folder / TABLE, index=False)
    return table


def _members(adata: AnnData, bulks: AnnData, groupby: str, sample_key: str | None) -> AnnData:
    """Return the cells without counts, ``obs['group']`` the pseudobulk that each belongs to."""
    from anndata import AnnData

    group = adata.obs[groupby].astype(object)
    group = group.where(group.isna(), group.astype(str))
    if sample_key is not None:
        group = adata.obs[sample_key].astype(str) + ":" + group
    group = group.where(group.isin(bulks.obs_names))
    obs = adata.obs[[keys.SAMPLE]].copy() if keys.SAMPLE in adata.obs else pd.DataFrame(index=adata.obs_names)
    obs[_GROUP] = pd.Categorical(group, categories=list(bulks.obs_names))
    return AnnData(obs=obs, uns={name: adata.uns[name] for name in (keys.GENOME,) if name in adata.uns})
