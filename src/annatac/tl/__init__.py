"""Tools: name the cells of a query, and learn from the names. Loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "attribution": "attributing",
    "attribution_agreement": "attribution_table",
    "trajectory": "pseudotime",
    "diffusion_pseudotime": "pseudotime",
    "trajectory_features": "trajectory_change",
    "trajectory_pairs": "trajectory_change",
    "composition": "conditions",
    "differential": "conditions",
    "elements": "regulatory",
    "clusters": "clustering",
    "markers": "marker_peaks",
    "pseudobulk": "pseudobulks",
    "write_open_peaks": "pseudobulks",
    "export_coverage": "coverage_export",
    "coverages": "locus_coverage",
    "coverage": "locus_coverage",
    "fragment_qc": "fragment_quality",
    "footprints": "footprinting",
    "marker_motifs": "motif_markers",
    "motif_deviations": "motif_activity",
    "motif_enrichment": "motif_testing",
    "motif_scan": "motif_scanning",
    "motif_sites": "motif_scanning",
    "annotate": "annotation",
    "embed": "embedding",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'annatac.tl' has no attribute '{name}'")
    value = getattr(import_module(f"annatac.tl.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
