"""The marker table of a report: given, read, or computed where counts are at hand."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import AnnatacWarning, InputError, MissingFileError
from annatac.tl.marking.marker_table import Markers

if TYPE_CHECKING:
    from anndata import AnnData

MarkerSource: TypeAlias = Markers | pd.DataFrame | str | Path
NEEDED = ("cell_type", "peak")
MAX_FDR = 0.05


class MarkerTable(NamedTuple):
    """``rows``: a row a type and peak, the surest first in each type; ``n_all``: markers by type before the cut.

    ``parameters`` is what tl.markers was asked for (empty for a given table), ``problem`` why there is no table.
    """

    rows: pd.DataFrame
    n_all: dict[str, int]
    parameters: dict[str, Any]
    problem: str = ""


def marker_table(source: MarkerSource, *, n_top: int) -> MarkerTable:
    """Return the first ``n_top`` rows of each type.

    Raises
    ------
    MissingFileError, InputError
        The CSV file does not exist, or has no columns ``cell_type`` and ``peak``.
    """
    parameters: dict[str, Any] = {}
    if isinstance(source, Markers):
        parameters = source.parameters
        table = source.table()
    elif isinstance(source, pd.DataFrame):
        table = source
    else:
        table = _read(Path(source))
    missing = [name for name in NEEDED if name not in table]
    if missing:
        raise InputError(
            f"The marker table has no column {' and no column '.join(missing)}; its columns are: "
            f"{', '.join(map(str, table.columns))}. Give what `Markers.write_csv` (or `annatac markers`) writes."
        )
    table = table.assign(cell_type=table["cell_type"].astype(str), peak=table["peak"].astype(str))
    n_all = {str(name): int(n) for name, n in table["cell_type"].value_counts().items()}
    rows = table.groupby("cell_type", sort=False, observed=True).head(n_top).reset_index(drop=True)
    return MarkerTable(rows, n_all, parameters)


def computed_markers(adata: AnnData, *, genes: str | Path | pd.DataFrame | None, n_top: int) -> MarkerTable:
    """Return the markers of the labels by :func:`annatac.tl.markers`, or none and why.

    Warns
    -----
    AnnatacWarning
        Markers cannot be computed from these cells; the report goes without.
    """
    from annatac.tl.marking.marker_peaks import markers

    try:
        if adata.isbacked:
            adata = _counts_in_memory(adata)
        return marker_table(markers(adata, keys.LABEL, genes=genes), n_top=n_top)
    except InputError as error:
        if genes is not None:
            raise
        warnings.warn(f"The report has no marker table: {error}", AnnatacWarning, stacklevel=3)
        return MarkerTable(pd.DataFrame(columns=list(NEEDED)), {}, {}, problem=str(error))


def _counts_in_memory(adata: AnnData) -> AnnData:
    """Return the cells with what markers need: X, labels and their probabilities, features, measures to match on."""
    from anndata import AnnData as InMemory

    counts = adata.X[:]
    return InMemory(
        X=counts if sp.issparse(counts) else np.asarray(counts),
        obs=adata.obs.copy(),
        var=adata.var.copy(),
        uns={name: adata.uns[name] for name in (keys.GENOME, keys.UNS) if name in adata.uns},
        obsm={name: adata.obsm[name][:] for name in (keys.PROBABILITIES,) if name in adata.obsm},
    )


def _read(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise MissingFileError(
            f"There is no marker table {path}. Check the name; `annatac markers -o FILE` writes one."
        )
    try:
        return pd.read_csv(path, sep=None, engine="python", dtype={"cell_type": str, "peak": str})
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no table of markers (CSV): {error}.") from error
