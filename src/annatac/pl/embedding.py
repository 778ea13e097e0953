"""Cells on their UMAP, coloured by type or by a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from annatac import keys
from annatac.errors import ConfigError, InputError, nearest, no_column
from annatac.pl.canvas import axes_or_new, figure_of, pyplot
from annatac.pl.palette import MISSING_COLOR, type_colors

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_BASES = {"umap": ("X_umap", "UMAP"), "tsne": ("X_tsne", "t-SNE")}
_TITLES = {
    keys.LABEL: "annatac label",
    keys.CONFIDENCE: "confidence",
    keys.NOVELTY: "novelty",
    keys.LABEL_SAFE: "nearest safe label",
    keys.DOUBLET_SCORE: "doublet score",
}


def umap(
    adata: AnnData,
    color: str = keys.LABEL,
    *,
    basis: str = "umap",
    legend: bool = True,
    colors: dict[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the cells on their UMAP (or t-SNE), coloured by a column of ``obs``.

    Text and categories get one colour each, in the order of the model's types, with their names in the plot;
    numbers get a scale (0 to 1 where they lie in it).

    Parameters
    ----------
    adata
        Cells with ``obsm['X_umap']`` (cells x 2), which ``annatac.tl.embed`` writes.
    color
        Column of ``obs``.
    basis
        'umap', or 'tsne' for ``obsm['X_tsne']``.
    legend
        Whether to list the types with their numbers of cells beside the plot.
    colors
        Colour of each type, where several plots shall agree.
    ax
        Where to draw; a new figure otherwise.

    Raises
    ------
    InputError
        There is no such layout yet.
    LabelError
        ``obs`` has no such column.
    """
    xy, axis_name = layout_of(adata, basis)
    if color not in adata.obs:
        raise no_column(color, adata.obs.columns)
    values = adata.obs[color]
    ax = axes_or_new(ax, 6.6 if legend else 5.0, 4.8)
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        _draw_numbers(ax, xy, values.to_numpy(dtype=float))
    else:
        own = colors_of(adata, color)
        if colors is not None:
            own = {name: colors.get(name, MISSING_COLOR) for name in own}
        _draw_types(ax, xy, values, own, legend=legend)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel(f"{axis_name} 1", loc="left", fontsize=8)
    ax.set_ylabel(f"{axis_name} 2", loc="bottom", fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(_TITLES.get(color, color.replace("_", " ")), fontsize=11)
    return ax


def umap_panels(
    adata: AnnData, truth_key: str | None = None, *, basis: str = "umap", sample_key: str | None = None
) -> list[Axes]:
    """Draw a row of UMAPs (or t-SNEs) in one figure: true types (with ``truth_key``), labels, confidence, sample.

    The panels of types give a type the same colour; one legend below serves them. With ``sample_key``, a column
    of ``obs``, a last panel shows the samples, with its own legend.
    """
    columns = [*([truth_key] if truth_key else []), keys.LABEL, keys.CONFIDENCE]
    for column in [*columns, *([sample_key] if sample_key else [])]:
        if column not in adata.obs:
            raise no_column(column, adata.obs.columns)
    colors = {name: color for key in columns[:-1] for name, color in colors_of(adata, key).items()}
    n_panels = len(columns) + (sample_key is not None)
    n_columns = max(4, min(len(colors), 2 + 3 * n_panels))
    height = 4.7 + 0.2 * -(-len(colors) // n_columns)
    figure, row = pyplot().subplots(
        1, n_panels, figsize=(4.8 * n_panels, height), layout="constrained", squeeze=False
    )
    for ax, column in zip(row[0], columns, strict=False):
        umap(adata, column, basis=basis, legend=False, ax=ax)
    if truth_key:
        row[0][0].set_title(f"true type ({truth_key})", fontsize=11)
    if sample_key:
        _draw_samples(row[0][-1], adata, sample_key, basis)
    figure.legend(
        handles=[legend_handle(shown_type(name), color) for name, color in colors.items()],
        loc="outside lower center",
        ncols=n_columns,
        **LEGEND,
    )
    return list(row[0])


def layout_of(adata: AnnData, basis: str) -> tuple[np.ndarray, str]:
    """Return the places of the cells, float (cells, 2), and the name of the layout for the axes.

    Raises
    ------
    ConfigError
        Unknown ``basis``.
    InputError
        The cells have no such layout.
    """
    if basis not in _BASES:
        raise ConfigError(
            f"basis is '{basis}'; expected one of: {', '.join(_BASES)}.{nearest(basis, _BASES)}"
        )
    slot, name = _BASES[basis]
    if slot not in adata.obsm:
        option, flag = ("", "") if basis == "umap" else (", tsne=True", " --tsne")
        raise InputError(
            f"obsm['{slot}'] is missing. Compute it first: `annatac embed{flag}`, or tl.embed(adata{option})."
        )
    return np.asarray(adata.obsm[slot], dtype=float)[:, :2], name


def colors_of(adata: AnnData, column: str) -> dict[str, str]:
    """Return the colour of each type in ``obs[column]``: the model's types first, then the others."""
    present = adata.obs[column].dropna().astype(str).unique()
    classes = [str(name) for name in adata.uns.get(keys.UNS, {}).get("classes", [])]
    values = adata.obs[column]
    listed = (
        values.cat.categories.astype(str)
        if isinstance(values.dtype, pd.CategoricalDtype)
        else sorted(present)
    )
    colors = type_colors([*classes, *(name for name in listed if name not in classes)])
    return {name: color for name, color in colors.items() if name in set(present)}


LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 8, "handletextpad": 0.1, "columnspacing": 1.0}


def _draw_types(ax: Axes, xy: np.ndarray, values: pd.Series, colors: dict[str, str], *, legend: bool) -> None:
    names = values.astype(object).where(values.notna(), "").astype(str).to_numpy()
    shade = np.array([colors.get(name, MISSING_COLOR) for name in names])
    order = np.random.default_rng(0).permutation(len(xy))  # no type hides another by being drawn last
    _points(ax, xy[order], c=shade[order])
    counts = pd.Series(names).value_counts()
    ax.margins(0.08)
    # novel cells lie everywhere: their middle would name a place where none of them is
    _write_names(ax, {name: xy[names == name] for name in colors if name != keys.NOVEL_LABEL})
    if legend:
        handles = [
            legend_handle(f"{shown_type(name)} ({counts[name]:,})", color) for name, color in colors.items()
        ]
        columns = 1 if len(handles) <= 20 else 2
        ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=columns, **LEGEND)


def _draw_samples(ax: Axes, adata: AnnData, sample_key: str, basis: str) -> None:
    """Draw samples, which lie over each other where all is well: no names in the plot, a legend below it."""
    xy, axis_name = layout_of(adata, basis)
    colors = {name: color for name, color in colors_of(adata, sample_key).items() if name != keys.NOVEL_LABEL}
    names = adata.obs[sample_key].astype(object).fillna("").astype(str).to_numpy()
    shade = np.array([colors.get(name, MISSING_COLOR) for name in names])
    order = np.random.default_rng(0).permutation(len(xy))
    _points(ax, xy[order], c=shade[order])
    ax.set_title(sample_key.replace("_", " "), fontsize=11)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel(f"{axis_name} 1", loc="left", fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    handles = [legend_handle(name, color) for name, color in list(colors.items())[:24]]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=4, **LEGEND)


def _draw_numbers(ax: Axes, xy: np.ndarray, values: np.ndarray) -> None:
    finite = values[np.isfinite(values)]
    unit = len(finite) > 0 and finite.min() >= 0 and finite.max() <= 1
    order = np.argsort(-values)  # low values last: an unsure cell among sure ones is what to see
    points = _points(
        ax, xy[order], c=values[order], cmap="cividis", vmin=0 if unit else None, vmax=1 if unit else None
    )
    bar = figure_of(ax).colorbar(points, ax=ax, fraction=0.035, pad=0.02)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.ax.tick_params(labelsize=8)


def _points(ax: Axes, xy: np.ndarray, **options: Any) -> Any:
    size = float(np.clip(12000 / max(len(xy), 1), 1.0, 14.0))
    return ax.scatter(xy[:, 0], xy[:, 1], s=size, linewidths=0, rasterized=True, **options)


def _write_names(ax: Axes, members: dict[str, np.ndarray]) -> None:
    """Write each type at the middle of its cells, moved up or down where names would cover each other."""
    from matplotlib.patheffects import withStroke

    if not members:
        return
    figure, box = figure_of(ax), ax.get_position()
    (x_low, x_high), (y_low, y_high) = ax.get_xlim(), ax.get_ylim()
    inch = np.array(
        [
            (x_high - x_low) / (box.width * figure.get_figwidth()),
            (y_high - y_low) / (box.height * figure.get_figheight()),
        ]
    )
    middle = np.array([np.median(points, axis=0) for points in members.values()])
    size = np.array([[0.065 * len(name) + 0.06, 0.135] for name in members])
    placed = _spread(middle / inch, size) * inch
    for name, (x, y) in zip(members, placed, strict=True):
        text = ax.text(x, y, name, ha="center", va="center", fontsize=8)
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])


def _spread(middle: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the middles of boxes (inches) shifted vertically until none covers another."""
    placed = middle.copy()
    for _ in range(200):
        moved = False
        for i in range(len(placed)):
            for j in range(i):
                apart = np.abs(placed[i] - placed[j])
                needed = (size[i] + size[j]) / 2
                if (apart < needed).all():
                    push = (needed[1] - apart[1]) / 2 + 1e-3
                    sign = 1.0 if placed[i, 1] >= placed[j, 1] else -1.0
                    placed[i, 1] += sign * push
                    placed[j, 1] -= sign * push
                    moved = True
        if not moved:
            break
    return placed


def legend_handle(text: str, color: str) -> Any:
    """Return a dot of that colour with its text, for a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], marker="o", linestyle="", markersize=6, color=color, label=text)


def shown_type(name: str) -> str:
    """Return the words for a type."""
    return "novel" if name == keys.NOVEL_LABEL else name
