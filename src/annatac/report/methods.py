"""A methods paragraph ready for a paper, with what it cites."""

from __future__ import annotations

from typing import Any

from annatac import __version__, keys
from annatac.report.cells import Cells

#: As in CITATION.cff, which a wheel does not hold; a test compares both.
CITATION = (
    "Cui L, Wang F, Li H, Liu Q, Zhou M, Wang G. annATAC: automatic cell type annotation for scATAC-seq data "
    "based on language model. BMC Biology 23, 145 (2025)."
)
DOI = "10.1186/s12915-025-02244-5"


def methods(
    cells: Cells,
    details: dict[str, Any],
    *,
    n_features: int,
    genome: str | None,
    map_origin: str,
    markers: dict[str, Any],
    truth_accuracy: float | None,
) -> str:
    """Return the paragraph. It states only what the file records."""
    version = details.get("annatac_version", __version__)
    place = f"{n_features:,} accessible regions" + (f" ({genome})" if genome else "")
    parts = [
        f"Cell types of {len(cells):,} cells, measured over {place}, were annotated with annatac {version}, "
        f"which builds on annATAC (Cui et al., 2025), by a model fine-tuned on {len(cells.classes)} "
        f"cell types" + (f" (model {details['model_id']})" if details.get("model_id") else "") + "."
    ]
    overlap = details.get("overlap", {})
    if "share_of_query_counts_known" in overlap:
        parts.append(
            f"Of the cells' counts {overlap['share_of_query_counts_known']:.1%} lay in regions known to the model, "
            f"with a median of {overlap.get('median_open_known', 0):,.0f} known open islands per cell."
        )
    parameters = details.get("parameters", {})
    rule = _novelty_rule(parameters)
    if rule:
        parts.append(
            f"{rule} were called novel ({int(cells.is_novel.sum()):,} cells, {cells.is_novel.mean():.1%})"
            + (
                f", and cells with fewer than {parameters['min_open']:g} open islands were flagged as low quality "
                f"({int(cells.is_low_quality.sum()):,} cells, {cells.is_low_quality.mean():.1%})."
                if "min_open" in parameters
                else "."
            )
        )
    if details.get("calibration") == "none":
        parts.append("Class probabilities were not calibrated.")
    elif details.get("calibration"):
        parts.append(f"Class probabilities were calibrated ({details['calibration']}).")
    if markers:
        parts.append(
            "Marker regions of each predicted type were found by two-sided Wilcoxon rank-sum tests against "
            f"background cells matched on {_listed(markers['matched_on'])} (up to {markers['n_background']} per "
            "cell), with Benjamini-Hochberg correction; they were called at a false discovery rate of 5% and a "
            "log2 fold change of at least 0.5. As labels and tests use the same counts, p-values rank regions and "
            "do not prove that a type exists."
        )
        if markers.get("weigh"):
            parts.append("In these tests each cell counted by its probability of the type.")
    if map_origin.startswith("UMAP of"):
        parts.append(f"Cells were laid out by {map_origin}.")
    if truth_accuracy is not None and cells.truth is not None:
        parts.append(
            f"Against the known types ('{cells.truth.key}'), the best known type was right in {truth_accuracy:.1%} "
            "of the cells whose type the model knows."
        )
    return " ".join(parts)


def _novelty_rule(parameters: dict[str, Any]) -> str:
    """Return which cells were called novel, or '' where it was not recorded."""
    if "novelty_threshold" in parameters:
        return f"Cells whose highest class probability was below {parameters['novelty_threshold']:g}"
    if "novelty_rate" in parameters:
        return (
            "Cells for whose best type less evidence was found (decision value, likelihood ratio and likelihood, "
            f"adjusted for depth) than for all but {parameters['novelty_rate']:.1%} of held-out reference cells and "
            "all but twice that share of those called like it"
        )
    return ""


_WORDS = {
    "annatac_version": "annotated with annatac",
    "model_id": "model",
    "calibration": "calibration of confidences",
    "share_of_query_counts_known": "counts in the model's islands",
    "share_of_model_islands_measured": "model's islands that were measured",
    "median_open_known": "known open islands, median cell",
    "n_shared": "islands in both",
    "n_query_islands": "islands of the cells",
    "silent_chroms": "chromosomes without a count",
    "share_silent": "openness of the model's reference on those",
    "n_model_islands": "islands of the model",
    "novelty_method": "what makes a cell novel",
    "novelty_threshold": "novel below a probability of",
    "novelty_rate": "share of known cells that may be called novel (of one type, twice as many)",
    "error_rate": "share of sets that may miss the type",
    "min_open": "low quality below open islands",
    "hierarchy": "ancestors of the types",
    "safe_level": "safe label at a probability of",
    "schema_version": "version of the output's slots",
}


def recorded(details: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what ``uns['annatac']`` records as rows of words and value.

    The classes are shown elsewhere; of the hierarchy only where it is from, its arrays are for programs.
    """
    rows: list[tuple[str, str]] = []
    for name, value in details.items():
        if name == "hierarchy" and isinstance(value, dict):
            value = value.get("source", "given")
        if name == "classes" or (hasattr(value, "shape") and getattr(value, "size", 1) > 20):
            continue
        if isinstance(value, dict):
            rows += recorded(value)
        else:
            rows.append((_WORDS.get(name, name.replace("_", " ")), _shown(name, value)))
    return rows


def _shown(name: str, value: Any) -> str:
    value = value.item() if hasattr(value, "item") and getattr(value, "size", 2) == 1 else value
    if isinstance(value, float):
        return f"{value:.1%}" if name.startswith("share_") else f"{value:.4g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value) or "none"


def _listed(names: list[str]) -> str:
    words = {"log10_depth": "sequencing depth", keys.TSS_ENRICHMENT: "TSS enrichment"}
    return " and ".join(words.get(name, name) for name in names)
