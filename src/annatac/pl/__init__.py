"""Plots. Each draws on ``ax`` where it is given, on a new figure otherwise, and returns the axes."""

from __future__ import annotations

from annatac.pl.attribution_bars import attribution
from annatac.pl.browser_tracks import tracks
from annatac.pl.canvas import save
from annatac.pl.composition_bars import composition
from annatac.pl.confusion import confusion_matrix
from annatac.pl.element_bars import elements
from annatac.pl.embedding import umap, umap_panels
from annatac.pl.flow import sankey
from annatac.pl.footprint_plot import footprint
from annatac.pl.fragment_plots import fragment_sizes, tss_profile
from annatac.pl.learning import learning_curves
from annatac.pl.marker_heatmap import marker_heatmap
from annatac.pl.motif_dots import motif_enrichment
from annatac.pl.motif_ridges import motif_ridge
from annatac.pl.palette import type_colors
from annatac.pl.prediction_panels import prediction_panels
from annatac.pl.reliability_diagram import reliability
from annatac.pl.robustness import robustness
from annatac.pl.score_bars import score_bars
from annatac.pl.score_radar import score_radar
from annatac.pl.score_violins import score_violins
from annatac.pl.sequence_logo import motif_logo
from annatac.pl.training import training_curves, training_panels
from annatac.pl.trajectory_heatmaps import trajectory_heatmap, trajectory_pairs
from annatac.pl.trajectory_plot import trajectory
from annatac.pl.trust_plots import novelty, risk_coverage
from annatac.pl.volcano_plot import volcano

__all__ = [
    "attribution",
    "composition",
    "confusion_matrix",
    "elements",
    "footprint",
    "fragment_sizes",
    "learning_curves",
    "marker_heatmap",
    "motif_enrichment",
    "motif_logo",
    "motif_ridge",
    "novelty",
    "prediction_panels",
    "reliability",
    "risk_coverage",
    "robustness",
    "sankey",
    "save",
    "score_bars",
    "score_radar",
    "score_violins",
    "tracks",
    "training_curves",
    "training_panels",
    "trajectory",
    "trajectory_heatmap",
    "trajectory_pairs",
    "tss_profile",
    "type_colors",
    "umap",
    "umap_panels",
    "volcano",
]
