"""An annotated file: groups of its novel cells, and labels against clusters."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from annatac import keys
from annatac.io.atomic import atomic_path
from annatac.io.read import read_one
from annatac.io.write import write_annotated
from annatac.jobs.outputs import check_outputs


def clusters(
    path: str | Path,
    output: str | Path | None = None,
    *,
    csv: str | Path | None = None,
    consensus_csv: str | Path | None = None,
    markers_csv: str | Path | None = None,
    model: str | Path | None = None,
    genes: str | Path | None = None,
    novel_resolution: float = 0.5,
    resolution: float = 2.0,
    min_cells: int = 10,
    min_share: float = 0.5,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Add what :func:`annatac.tl.clusters` finds to an annotated file; return its tables by name.

    Parameters
    ----------
    output
        File to write (h5ad); the input itself otherwise.
    csv, markers_csv, consensus_csv
        Write the groups of novel cells, their markers, and a row a cell: ``barcode``, ``label``, ``confidence``,
        ``cluster``, ``cluster_label``, ``conflict``, ``novel_group``.

    Raises
    ------
    InputError, ConfigError, ModelError, OutputError, MissingDependencyError
        See :func:`annatac.tl.clusters`; an output cannot be written. Then nothing is written.
    """
    from annatac.tl import clusters as find

    output = Path(path if output is None else output)
    check_outputs(output, csv, consensus_csv, markers_csv)
    adata = read_one(path)
    find(
        adata,
        model=model,
        genes=genes,
        novel_resolution=novel_resolution,
        resolution=resolution,
        min_cells=min_cells,
        min_share=min_share,
        seed=seed,
    )
    found = adata.uns[keys.CLUSTERS]
    for file, table in (
        (csv, found["groups"]),
        (markers_csv, found["markers"]),
        (consensus_csv, _cells(adata.obs)),
    ):
        if file is not None:
            with atomic_path(file) as temporary:
                table.to_csv(temporary, index=False, float_format="%.6g")
    columns = adata.obs[[keys.NOVEL_GROUP, keys.CLUSTER, keys.CLUSTER_LABEL]]
    write_annotated(output, source=path, adata=adata, obs=columns, obsm={}, uns={keys.CLUSTERS: found})
    return {name: table for name, table in found.items() if isinstance(table, pd.DataFrame)}


def _cells(obs: pd.DataFrame) -> pd.DataFrame:
    """Return a row a cell: its label, and beside it what its cluster's labels agree on."""
    label, agreed = obs[keys.LABEL].astype(str).to_numpy(), obs[keys.CLUSTER_LABEL].astype(str).to_numpy()
    return pd.DataFrame(
        {
            "barcode": obs.index.to_numpy(),
            "label": label,
            "confidence": obs[keys.CONFIDENCE].to_numpy(),
            "cluster": obs[keys.CLUSTER].astype(str).to_numpy(),
            "cluster_label": agreed,
            "conflict": (agreed != "") & (agreed != label),
            "novel_group": obs[keys.NOVEL_GROUP].astype(str).to_numpy(),
        }
    )
