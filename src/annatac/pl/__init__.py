"""Plots. Each draws on ``ax`` where it is given, on a new figure otherwise, and returns the axes."""

from __future__ import annotations

from annatac.pl.canvas import save
from annatac.pl.confusion import confusion_matrix
from annatac.pl.embedding import umap, umap_panels
from annatac.pl.flow import sankey
from annatac.pl.palette import type_colors
from annatac.pl.training import training_curves, training_panels

__all__ = [
    "confusion_matrix",
    "sankey",
    "save",
    "training_curves",
    "training_panels",
    "type_colors",
    "umap",
    "umap_panels",
]
