"""Clusters beside cells: groups of novel cells, and what the labels of a cluster agree on."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.annotate.annotator import Annotator
from annatac.errors import AnnatacWarning, ConfigError, InputError
from annatac.pp.counts import as_csr, opened
from annatac.pp.validate import validate_counts
from annatac.tl.communities.cell_graph import leiden, lsi
from annatac.tl.communities.label_consensus import consensus
from annatac.tl.communities.novel_groups import group_names, group_profiles, group_table, model_profiles
from annatac.tl.marking.marker_peaks import markers

if TYPE_CHECKING:
    from anndata import AnnData

_MARKER_COLUMNS = ("group", "peak", "gene", "distance", "log2_fold_change", "fdr", "share_in", "share_out")


def clusters(
    adata: AnnData,
    *,
    model: Annotator | str | Path | None = None,
    genes: str | Path | pd.DataFrame | None = None,
    novel_resolution: float = 0.5,
    resolution: float = 2.0,
    n_neighbors: int = 15,
    min_cells: int = 10,
    min_share: float = 0.5,
    n_markers: int = 50,
    seed: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Write groups of the novel cells, and beside each cell's label what its cluster's labels agree on.

    Cells are placed by what is open in them (:func:`annatac.tl.communities.cell_graph.lsi`), not by the model, which
    has not learnt what tells types apart that it does not know. Leiden clusters of the novel cells alone are their
    groups, Leiden clusters of all cells have a consensus of labels. No label is changed.

    Parameters
    ----------
    adata
        Cells as :func:`annatac.tl.annotate` leaves them, with counts in X.
    model
        The annotator that named them, or its folder: the groups' profiles are then compared with those of its
        reference, else with those of the query's own cells of each label.
    genes
        GTF, GFF3, BED or table of genes: adds the nearest gene to the groups' markers.
    novel_resolution, resolution
        Of Leiden, for the novel cells and for all cells; higher makes more, smaller clusters.
    n_neighbors
        Neighbours of a cell in the graph.
    min_cells
        Novel cells in clusters of fewer are of no group.
    min_share
        A cluster has a consensus where at least this share of its cells have one label; 0.5 to 1.
    n_markers
        Markers of each group that are kept, the surest.
    seed
        Same seed, same clusters.
    copy
        Return a changed copy instead of writing into ``adata``.

    Returns
    -------
    None, or the copy. Written: categorical ``obs['annatac_novel_group']`` ('' for cells of none),
    ``obs['annatac_cluster']`` and ``obs['annatac_cluster_label']`` ('' for no consensus); and
    ``uns['annatac_clusters']`` with tables ``groups`` (see :func:`annatac.tl.communities.novel_groups.group_table`, and
    ``n_markers``), ``markers`` (``group``, ``peak`` and what :class:`~annatac.tl.marking.marker_table.Markers` says of
    them), ``consensus``, ``conflicts`` (see :func:`annatac.tl.communities.label_consensus.consensus`) and
    ``parameters``.

    Raises
    ------
    InputError
        The cells are not annotated, fewer than ``min_cells``, or X holds no counts.
    ConfigError
        A number out of range.
    MissingDependencyError
        scanpy or leidenalg is not installed.

    Warns
    -----
    AnnatacWarning
        Novel cells are too few to be grouped; a group has nothing to be compared with.
    """
    _check(adata, novel_resolution, resolution, n_neighbors, min_cells, min_share, n_markers)
    counts = _counts(adata)
    annotator = Annotator.load(model) if isinstance(model, str | Path) else model
    label = adata.obs[keys.LABEL].astype(str).to_numpy(dtype=object)
    is_novel = adata.obs[keys.IS_NOVEL].to_numpy(dtype=bool)
    places = lsi(counts, seed=seed)

    group = np.full(adata.n_obs, "", dtype=object)
    if is_novel.sum() >= max(min_cells, 3):
        found = leiden(places[is_novel], resolution=novel_resolution, n_neighbors=n_neighbors, seed=seed)
        group[is_novel] = group_names(found, min_cells)
    elif is_novel.any():
        warnings.warn(
            f"{is_novel.sum()} of {adata.n_obs:,} cells are novel: too few for groups of {min_cells} cells or more.",
            AnnatacWarning,
            stacklevel=2,
        )
    number = leiden(places, resolution=resolution, n_neighbors=n_neighbors, seed=seed)
    cluster = np.array([str(k + 1) for k in number], dtype=object)
    agreed = consensus(cluster, label, adata.obs[keys.CONFIDENCE].to_numpy(dtype=float), min_share)

    profiles = None
    if (group != "").any():
        profiles = (
            group_profiles(opened(counts, np.float32), label, group, min_cells)
            if annotator is None
            else model_profiles(adata, group, annotator)
        )
    table = group_table(adata, group, profiles)
    marked = _markers(adata, counts, label, group, genes, n_markers, seed)
    table.insert(3, "n_markers", [int((marked["group"] == name).sum()) for name in table["group"]])

    adata = adata.copy() if copy else adata
    for slot, names, order in (
        (keys.NOVEL_GROUP, group, ["", *table["group"]]),
        (keys.CLUSTER, cluster, [str(k + 1) for k in range(number.max() + 1)]),
        (keys.CLUSTER_LABEL, agreed.label, ["", *sorted(set(agreed.label) - {""})]),
    ):
        adata.obs[slot] = pd.Categorical(names, categories=order)
    adata.uns[keys.CLUSTERS] = {
        "groups": table,
        "markers": marked,
        "consensus": agreed.clusters,
        "conflicts": agreed.conflicts,
        "parameters": {
            "novel_resolution": novel_resolution,
            "resolution": resolution,
            "n_neighbors": n_neighbors,
            "min_cells": min_cells,
            "min_share": min_share,
            "seed": seed,
            "profiles": "the query's labelled cells" if annotator is None else "the model's reference",
        },
    }
    return adata if copy else None


def _check(
    adata: AnnData,
    novel_resolution: float,
    resolution: float,
    n_neighbors: int,
    min_cells: int,
    min_share: float,
    n_markers: int,
) -> None:
    wanted = {"obs": (keys.LABEL, keys.CONFIDENCE, keys.IS_NOVEL), "obsm": (keys.PROBABILITIES,)}
    missing = [
        f"{slot}['{n}']" for slot, names in wanted.items() for n in names if n not in getattr(adata, slot)
    ]
    if "classes" not in adata.uns.get(keys.UNS, {}):
        missing.append(f"uns['{keys.UNS}']['classes']")
    if missing:
        raise InputError(
            f"These cells are not annotated: {', '.join(missing)} missing. Annotate them first "
            "(`annatac annotate` or `annatac.tl.annotate`) and give its output."
        )
    if min(novel_resolution, resolution) <= 0 or n_neighbors < 2 or min_cells < 3 or n_markers < 1:
        raise ConfigError(
            f"novel_resolution is {novel_resolution}, resolution {resolution}, n_neighbors {n_neighbors}, min_cells "
            f"{min_cells}, n_markers {n_markers}; expected resolutions over 0, n_neighbors >= 2, min_cells >= 3, "
            "n_markers >= 1."
        )
    if not 0.5 <= min_share <= 1:
        raise ConfigError(f"min_share is {min_share}; 0.5 to 1 is expected: a consensus is of the majority.")
    if adata.n_obs < min_cells:
        raise InputError(
            f"Clusters need at least {min_cells} cells (min_cells); {adata.n_obs} found. The labels of so few cells "
            "can be looked at one by one."
        )


def _counts(adata: AnnData) -> sp.csr_matrix:
    validate_counts(adata)
    return as_csr(adata.X[:] if adata.isbacked else adata.X)


def _markers(
    adata: AnnData,
    counts: sp.csr_matrix,
    label: np.ndarray,
    group: np.ndarray,
    genes: str | Path | pd.DataFrame | None,
    n_markers: int,
    seed: int,
) -> pd.DataFrame:
    """Return the surest markers of each group against all other cells; novel cells of no group are left out."""
    from anndata import AnnData

    nothing = pd.DataFrame(
        {name: [] for name in _MARKER_COLUMNS if genes is not None or name not in _MARKER_COLUMNS[2:4]}
    )
    nothing = nothing.astype({"group": object, "peak": object})
    names = sorted(set(group) - {""})
    if not names:
        return nothing
    of = np.where(group != "", group, "other cells")
    of[(group == "") & (label == keys.NOVEL_LABEL)] = None
    if len(set(of) - {None}) < 2:
        warnings.warn(
            f"All cells are of the one group {names[0]}: nothing to compare with, so it has no marker islands.",
            AnnatacWarning,
            stacklevel=3,
        )
        return nothing
    obs = pd.DataFrame({"of": pd.Categorical(of)}, index=adata.obs_names)
    cells = AnnData(X=counts, obs=obs, var=adata.var)
    found = markers(cells, "of", types=names, genes=genes, min_cells=2, seed=seed)
    table = found.table(n_top=n_markers).rename(columns={"cell_type": "group"})
    return table[[name for name in _MARKER_COLUMNS if name in table]].reset_index(drop=True)
