"""Order cells in time: along types that are named in order, or by diffusion from a root."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from annatac import keys
from annatac.errors import (
    AnnatacWarning,
    ConfigError,
    LabelError,
    MissingDependencyError,
    nearest,
)
from annatac.tl.embedding import space_of
from annatac.tl.groups import codes_of
from annatac.tl.trajectories.principal_curve import first_times, project, ranks, smooth_curve

if TYPE_CHECKING:
    from anndata import AnnData

N_NODES = 200  # of the curve


def trajectory(
    adata: AnnData,
    *,
    order: Sequence[str],
    groupby: str = keys.LABEL,
    use_rep: str = keys.EMBEDDING,
    keep: float = 0.9,
    keep_on_curve: float = 0.95,
    bandwidth: float = 0.15,
    n_iterations: int = 2,
    scale: str = "rank",
    min_cells: int = 10,
    key_added: str = keys.PSEUDOTIME,
    copy: bool = False,
) -> AnnData | None:
    """Write a pseudo-time along types (or clusters) that are named in their order.

    As ArchR's ``addTrajectory`` (Granja et al. 2021): of each group the cells nearest to its mean are kept; they
    get a first time by their group and their distance to the next group's mean; a smooth curve is drawn
    through them; cells are placed at the nearest point of it. For a path within one type, cluster its
    cells (``annatac.tl.embed(..., leiden_resolution=1)``) and name clusters.

    Parameters
    ----------
    adata
        Cells with ``obs[groupby]`` and ``obsm[use_rep]`` (float, cells x width).
    order
        Two groups or more, the earliest first.
    groupby
        Column of ``obs``.
    use_rep
        The space the curve is drawn in.
    keep
        Share of each group's cells, those nearest to its mean, that the curve is drawn through.
    keep_on_curve
        Share of the groups' cells, those nearest to the curve, that get a pseudo-time.
    bandwidth
        Smoothness of the curve: standard deviation of its kernel as a share of the whole time.
    n_iterations
        How often the curve is drawn anew through the times of the last one (Hastie and Stuetzle 1989);
        0 is ArchR's.
    scale
        'rank' (as ArchR): the k-th of n cells is at 100 k / n; 'length': by the distance travelled along the
        curve.
    min_cells
        A group with fewer cells is refused.
    key_added
        Where to write.
    copy
        Return a changed copy instead of writing into ``adata``.

    Returns
    -------
    None, or the copy. Written: ``obs[key_added]`` (float32, 0 to 100, NaN for cells of other groups or far from the
    curve) and ``uns[key_added]`` (``order``, ``groupby``, ``use_rep``, ``curve`` (float32, 200 x
    width), parameters).

    Raises
    ------
    LabelError
        No such column, or a group that no cell has (the nearest is offered), or of too few cells.
    InputError
        ``obsm[use_rep]`` is missing or not finite.
    ConfigError
        Fewer than two groups, one twice, or a number out of range.

    Notes
    -----
    The order is the user's: cells get a pseudo-time in any order that is named, also where no cell ever went
    that way.
    """
    names = _checked_order(order)
    for name, value in (("keep", keep), ("keep_on_curve", keep_on_curve), ("bandwidth", bandwidth)):
        if not 0 < value <= 1:
            raise ConfigError(f"{name} is {value}; expected more than 0 and at most 1.")
    if scale not in ("rank", "length"):
        raise ConfigError(
            f"scale is '{scale}'; expected 'rank' or 'length'.{nearest(scale, ('rank', 'length'))}"
        )
    if n_iterations < 0 or min_cells < 3:
        raise ConfigError(f"n_iterations is {n_iterations}, min_cells {min_cells}; expected >= 0 and >= 3.")
    space = space_of(adata, use_rep).astype(np.float64)
    codes, present = codes_of(adata, groupby)
    group = np.full(adata.n_obs, -1, dtype=np.int64)
    for number, name in enumerate(names):
        group[codes == _group_of(name, present, groupby)] = number
    n_cells = np.bincount(group[group >= 0], minlength=len(names))
    if (n_cells < min_cells).any():
        small = ", ".join(f"'{names[g]}' ({n_cells[g]})" for g in np.flatnonzero(n_cells < min_cells))
        raise LabelError(
            f"Too few cells for a trajectory, at least {min_cells} a group are needed: {small}. Leave the group "
            "out of the order, or merge it with a neighbour."
        )
    rows = np.flatnonzero(group >= 0)
    points, own = space[rows], group[rows]
    near = _near_their_means(points, own, len(names), keep)
    time = first_times(points[near], own[near], len(names))
    curve = smooth_curve(time, points[near], n_nodes=N_NODES, bandwidth=bandwidth)
    for _ in range(n_iterations):
        along, _ = project(points[near], curve)
        curve = smooth_curve(ranks(along), points[near], n_nodes=N_NODES, bandwidth=bandwidth)
    along, off = project(points, curve)
    on_curve = off <= np.quantile(off, keep_on_curve)
    along = along[on_curve]
    share = ranks(along) if scale == "rank" else (along - along.min()) / max(float(np.ptp(along)), 1e-12)
    result = np.full(adata.n_obs, np.nan, dtype=np.float32)
    result[rows[on_curve]] = 100 * share
    adata = adata.copy() if copy else adata
    adata.obs[key_added] = result
    adata.uns[key_added] = {
        "method": "curve",
        "order": np.array(names),
        "groupby": groupby,
        "use_rep": use_rep,
        "curve": curve.astype(np.float32),
        "keep": keep,
        "keep_on_curve": keep_on_curve,
        "bandwidth": bandwidth,
        "n_iterations": n_iterations,
        "scale": scale,
    }
    _warn_of_disorder(result[rows], own, names)
    return adata if copy else None


def diffusion_pseudotime(
    adata: AnnData,
    *,
    root: str,
    groupby: str = keys.LABEL,
    use_rep: str = keys.EMBEDDING,
    n_neighbors: int = 15,
    n_components: int = 10,
    seed: int = 0,
    key_added: str = keys.PSEUDOTIME,
    copy: bool = False,
) -> AnnData | None:
    """Write the diffusion pseudo-time of all cells from a root, where no order is known.

    ``scanpy.tl.diffmap`` and ``scanpy.tl.dpt`` (Haghverdi et al. 2016) on the neighbours in ``use_rep``,
    with the Gaussian kernel of that paper.

    Parameters
    ----------
    adata
        Cells with ``obsm[use_rep]``.
    root
        A cell's name, or a type of ``obs[groupby]``: then the type's cell farthest from the other cells' mean
        among the 90 % of its cells nearest to the type's own mean.
    groupby
        Column of ``obs`` with the types.
    n_neighbors, n_components, seed
        Of the graph and the diffusion map.
    key_added
        Where to write.
    copy
        Return a changed copy instead of writing into ``adata``.

    Returns
    -------
    None, or the copy. Written: ``obs[key_added]`` (float32, 0 at the root to 100, NaN for cells that no path of
    neighbours joins to the root) and ``uns[key_added]`` (``root``, ``groupby``, parameters).

    Raises
    ------
    LabelError
        ``root`` is neither a cell nor a type.
    InputError, ConfigError, MissingDependencyError
        As :func:`annatac.tl.embed`.
    """
    space = space_of(adata, use_rep).astype(np.float64)
    if not 2 <= n_neighbors < adata.n_obs or not 2 <= n_components < adata.n_obs:
        raise ConfigError(
            f"n_neighbors is {n_neighbors} and n_components {n_components}, for {adata.n_obs} cells; expected 2 to "
            f"{adata.n_obs - 1}."
        )
    row = _root_row(adata, space, root, groupby)
    try:
        import scanpy as sc
    except ImportError as error:
        raise MissingDependencyError(
            "Diffusion pseudo-time needs scanpy, which is not installed. Install it with: "
            "pip install 'annatac[plot]'"
        ) from error
    from anndata import AnnData as Cells

    small = Cells(obs=adata.obs[[]].copy(), obsm={"space": space.astype(np.float32)})
    sc.pp.neighbors(small, n_neighbors=n_neighbors, use_rep="space", method="gauss", random_state=seed)
    sc.tl.diffmap(small, n_comps=n_components, random_state=seed)
    small.uns["iroot"] = row
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scanpy sets a column by a way that pandas deprecates
        sc.tl.dpt(small, n_dcs=n_components)
    value = small.obs["dpt_pseudotime"].to_numpy(np.float64)
    joined = np.isfinite(value)
    value = np.where(joined, 100 * value / max(value[joined].max(), 1e-12), np.nan)
    adata = adata.copy() if copy else adata
    adata.obs[key_added] = value.astype(np.float32)
    adata.uns[key_added] = {
        "method": "diffusion",
        "root": root,
        "root_cell": str(adata.obs_names[row]),
        "groupby": groupby,
        "use_rep": use_rep,
        "n_neighbors": n_neighbors,
        "n_components": n_components,
        "seed": seed,
    }
    if not joined.all():
        warnings.warn(
            f"{int((~joined).sum()):,} of {len(joined):,} cells are not joined to the root by neighbours and "
            "have no pseudo-time.",
            AnnatacWarning,
            stacklevel=2,
        )
    return adata if copy else None


def _checked_order(order: Sequence[str]) -> list[str]:
    names = [order] if isinstance(order, str) else [str(name) for name in order]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ConfigError(
            f"order={','.join(names)} will not do: expected two groups or more, each once, the earliest first."
        )
    return names


def _group_of(name: str, present: list[str], groupby: str) -> int:
    if name not in present:
        raise LabelError(
            f"No cell has '{name}' in obs['{groupby}'].{nearest(name, present)} There are: {', '.join(present)}."
        )
    return present.index(name)


def _near_their_means(
    points: npt.NDArray[np.float64], group: npt.NDArray[np.int64], n_groups: int, keep: float
) -> npt.NDArray[np.bool_]:
    near = np.zeros(len(points), dtype=bool)
    for g in range(n_groups):
        rows = np.flatnonzero(group == g)
        distance = np.linalg.norm(points[rows] - points[rows].mean(0), axis=1)
        near[rows[distance <= np.quantile(distance, keep)]] = True
    return near


def _warn_of_disorder(value: npt.NDArray[np.float32], group: npt.NDArray[np.int64], names: list[str]) -> None:
    median = [float(np.nanmedian(value[group == g])) for g in range(len(names))]
    known = np.isfinite(value)
    follows = float(np.corrcoef(group[known], ranks(value[known].astype(np.float64)))[0, 1])
    if follows < 0.5 or any(later <= earlier for earlier, later in pairwise(median)):
        shown = ", ".join(f"{name} {m:.1f}" for name, m in zip(names, median, strict=True))
        warnings.warn(
            f"The groups do not follow each other along the curve (median pseudo-time: {shown}): this order does "
            "not fit the embedding.",
            AnnatacWarning,
            stacklevel=3,
        )


def _root_row(adata: AnnData, space: npt.NDArray[np.float64], root: str, groupby: str) -> int:
    if root in adata.obs_names:
        return int(adata.obs_names.get_indexer([root])[0])
    codes, present = codes_of(adata, groupby)
    if root not in present:
        raise LabelError(
            f"The root '{root}' is neither a cell nor a type in obs['{groupby}'].{nearest(root, present)} "
            f"Types: {', '.join(present)}."
        )
    is_root = codes == present.index(root)
    if is_root.all():
        raise LabelError(f"All cells are '{root}': name the cell that is the root.")
    rows = np.flatnonzero(is_root)
    rows = rows[_near_their_means(space[rows], np.zeros(len(rows), dtype=np.int64), 1, 0.9)]
    return int(rows[np.linalg.norm(space[rows] - space[~is_root].mean(0), axis=1).argmax()])
