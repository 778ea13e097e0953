"""Annotated files: a pseudo-time, and what changes along it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from annatac import keys
from annatac.errors import AnnatacWarning, ConfigError
from annatac.io.read import read_one
from annatac.io.write import write_annotated
from annatac.jobs.outputs import check_outputs

if TYPE_CHECKING:
    from annatac.tl.trajectories.change import TrajectoryFeatures


#: file -> what writes it; called once all is computed, so that nothing is half-written
Writes: TypeAlias = dict[str | Path, Callable[[], object]]


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """The files written, cells with a pseudo-time, the features and pairs where they were asked for."""

    written: list[Path]
    n_cells: int
    features: TrajectoryFeatures | None
    n_pairs: int | None


def trajectory(
    path: str | Path,
    output: str | Path | None = None,
    *,
    order: Sequence[str] | None = None,
    root: str | None = None,
    groupby: str = keys.LABEL,
    csv: str | Path | None = None,
    heatmap: str | Path | None = None,
    plot: str | Path | None = None,
    basis: str = "umap",
    obsm: str | None = None,
    pairs: str | Path | None = None,
    pairs_plot: str | Path | None = None,
    genes: str | Path | None = None,
    max_fdr: float = 0.05,
    min_correlation: float = 0.7,
    seed: int = 0,
) -> Ordered:
    """Add a pseudo-time to an annotated file, and find what changes along it.

    Parameters
    ----------
    order, root
        One of them: types in their order, or the cell or type that diffusion starts from.
    csv, heatmap
        Table and picture of the peaks that change (with ``obsm``: of its features).
    plot
        The cells on their layout, with the path.
    obsm
        Real-valued features, such as motif deviations.
    pairs, pairs_plot
        Table and picture of the peaks and features of ``obsm`` that run alike; need ``obsm``.

    Raises
    ------
    ConfigError
        Neither or both of ``order`` and ``root``; pairs without ``obsm``.
    """
    from annatac import tl

    if bool(order) == (root is not None):
        raise ConfigError(
            "Name the types in their order (--order A --order B ...), or where diffusion starts (--root TYPE), one "
            "of both."
        )
    wants_pairs = pairs is not None or pairs_plot is not None
    if wants_pairs and obsm is None:
        raise ConfigError("Pairs are of peaks and of the features of a slot: name it with --obsm.")
    output = Path(path if output is None else output)
    check_outputs(output, csv, pairs, pictures=(heatmap, plot, pairs_plot))
    wants_features = csv is not None or heatmap is not None or wants_pairs
    adata = read_one(path, backed=True)
    cells = adata.to_memory() if wants_features else adata
    if order:
        result = tl.trajectory(_without_counts(cells), order=order, groupby=groupby, copy=True)
    else:
        result = tl.diffusion_pseudotime(
            _without_counts(cells), root=str(root), groupby=groupby, seed=seed, copy=True
        )
    assert result is not None
    value = result.obs[keys.PSEUDOTIME]
    writes: Writes = {}
    if plot is not None:
        from annatac import pl

        writes[plot] = partial(pl.save, pl.trajectory(result, basis=basis), plot)
    features, n_pairs = None, None
    if wants_features:
        cells.obs[keys.PSEUDOTIME] = value
        features, n_pairs = _features(
            cells, csv, heatmap, obsm, pairs, pairs_plot, genes, max_fdr, min_correlation, writes
        )
    for write in writes.values():
        write()
    write_annotated(
        output,
        source=path,
        adata=adata,
        obs=result.obs[[keys.PSEUDOTIME]],
        obsm={},
        uns={keys.PSEUDOTIME: result.uns[keys.PSEUDOTIME]},
    )
    return Ordered(
        written=[output, *map(Path, writes)],
        n_cells=int(np.isfinite(value).sum()),
        features=features,
        n_pairs=n_pairs,
    )


def _without_counts(adata: Any) -> Any:
    from anndata import AnnData

    return AnnData(obs=adata.obs.copy(), obsm={name: adata.obsm[name] for name in adata.obsm})


def _features(
    adata: Any,
    csv: str | Path | None,
    heatmap: str | Path | None,
    obsm: str | None,
    pairs: str | Path | None,
    pairs_plot: str | Path | None,
    genes: str | Path | None,
    max_fdr: float,
    min_correlation: float,
    writes: Writes,
) -> tuple[TrajectoryFeatures, int | None]:
    """Return what changes and how many pairs run alike; ``writes`` gets what will write the files."""
    from annatac import pl, tl
    from annatac.jobs.fragments import write_csv

    wants_pairs = pairs is not None or pairs_plot is not None
    peaks = None if obsm is not None and not wants_pairs else tl.trajectory_features(adata, genes=genes)
    values = None
    if obsm is not None:
        names = None
        if obsm in (keys.MOTIF_Z, keys.MOTIF_DEVIATIONS) and keys.MOTIFS in adata.uns:
            names = [str(name) for name in adata.uns[keys.MOTIFS]["names"]]
        values = tl.trajectory_features(adata, obsm=obsm, names=names)
    features = values if values is not None else peaks
    assert features is not None
    if csv is not None:
        writes[csv] = partial(features.write_csv, csv, max_fdr=max_fdr)
    if heatmap is not None and len(features.changing(max_fdr=max_fdr)):
        writes[heatmap] = partial(pl.save, pl.trajectory_heatmap(features, max_fdr=max_fdr), heatmap)
    elif heatmap is not None:
        _not_drawn(
            f"None of the {len(features.table):,} tested features changes (FDR {max_fdr:g})", heatmap, "--fdr"
        )
    if not wants_pairs:
        return features, None
    assert peaks is not None
    assert values is not None
    found = tl.trajectory_pairs(peaks, values, min_correlation=min_correlation, max_fdr=max_fdr)
    if pairs is not None:
        writes[pairs] = partial(write_csv, found, pairs)
    if pairs_plot is not None and len(found):
        axes = pl.trajectory_pairs(peaks, values, found, titles=("peaks", str(obsm)))
        writes[pairs_plot] = partial(pl.save, axes[0], pairs_plot)
    elif pairs_plot is not None:
        _not_drawn(f"No pair has a correlation of {min_correlation:g}", pairs_plot, "--correlation")
    return features, len(found)


def _not_drawn(why: str, file: str | Path, option: str) -> None:
    warnings.warn(
        f"{why}: {file} is not drawn. Other bounds can be set with {option}.", AnnatacWarning, stacklevel=4
    )
