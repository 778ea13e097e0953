"""Figures to draw on, and how they are saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from annatac.errors import ConfigError, MissingDependencyError
from annatac.io.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".eps", ".ps")


def check_picture(path: str | Path) -> None:
    """Refuse the name of a picture whose ending tells no format.

    Raises
    ------
    ConfigError
        The ending is missing or of no known kind.
    """
    ending = Path(path).suffix
    if ending.lower() not in PICTURES:
        found = f"the ending '{ending}' is no kind of picture" if ending else "it has no ending"
        raise ConfigError(f"Cannot draw {path}: {found}. Give it one of: {', '.join(PICTURES)}.")


def pyplot() -> Any:
    """Return ``matplotlib.pyplot``.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingDependencyError(
            "Plots need matplotlib, which is not installed. Install it with: pip install 'annatac[plot]'"
        ) from error
    return plt


def axes_or_new(ax: Axes | None, width_in: float, height_in: float) -> Axes:
    """Return ``ax``, or the axes of a new figure of that size in inches."""
    if ax is not None:
        return ax
    _, new = pyplot().subplots(figsize=(width_in, height_in), layout="constrained")
    return new


def figure_of(ax: Axes) -> Figure:
    """Return the figure that ``ax`` is drawn on."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def save(ax: Axes, path: str | Path, *, dpi: int = 160) -> Path:
    """Write the figure of ``ax`` to ``path`` (PNG, PDF or SVG by its ending) and close it.

    Raises
    ------
    ConfigError, OutputError
        The ending tells no format; the file cannot be written.
    """
    check_picture(path)
    figure = figure_of(ax)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi, bbox_inches="tight", facecolor="white")
    pyplot().close(figure)
    return Path(path)
