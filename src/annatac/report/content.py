"""Everything that a report shows, as plain values and pictures: what the templates are filled with."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from annatac import __version__, keys
from annatac.benchmark.evaluate import Evaluation, evaluate
from annatac.report import methods
from annatac.report.advice import remarks
from annatac.report.cells import Cells
from annatac.report.charts.bands import bands
from annatac.report.charts.boxes import boxes
from annatac.report.charts.heatmap import heatmap
from annatac.report.charts.histogram import histogram
from annatac.report.charts.stacked_bars import stacked_bars
from annatac.report.clusters import clusters_of
from annatac.report.evidence import Evidence
from annatac.report.layout import Layout
from annatac.report.markers import MarkerTable
from annatac.report.packing import packed_map
from annatac.report.tables import by_group, cross_table, quantiles
from annatac.report.type_pages import label_colors, type_pages

if TYPE_CHECKING:
    from anndata import AnnData

_PACKAGES = ("numpy", "scipy", "pandas", "anndata", "torch", "scanpy", "umap-learn")
_MARKER_COLUMNS = ("gene", "distance", "log2_fold_change", "fdr", "share_in", "share_out")


def content_of(
    adata: AnnData,
    cells: Cells,
    *,
    title: str,
    source: str,
    layout: Layout,
    markers: MarkerTable | None,
    evidence: dict[str, Evidence],
    max_cells_drawn: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the values that the templates name."""
    details = dict(adata.uns.get(keys.UNS, {}))
    evaluation = None
    if cells.truth is not None and cells.probabilities is not None:
        evaluation = evaluate(adata, cells.truth.key, by=None if cells.sample is None else cells.sample.key)
    genome = adata.uns.get(keys.GENOME)
    colors = label_colors(cells.label.names)
    samples = None if cells.sample is None else by_group(cells, cells.sample)
    simulated = adata.uns.get("simulated")
    return {
        "title": title,
        "source": source,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "simulated": None
        if not isinstance(simulated, dict)
        else str(simulated.get("note", "simulated cells")),
        "n_cells": len(cells),
        "n_features": adata.n_vars,
        "genome": None if genome is None else str(genome),
        "cells": cells,
        "details": details,
        "n_types_found": int((cells.label.n_cells > 0).sum()) - int(cells.is_novel.any()),
        "median_confidence": float(np.median(cells.confidence)),
        "share_novel": float(cells.is_novel.mean()),
        "share_low_quality": float(cells.is_low_quality.mean()),
        "median_open": None if cells.n_open is None else float(np.nanmedian(cells.n_open)),
        "remarks": remarks(cells, samples, details),
        "types": by_group(cells, cells.label).to_dict("records"),
        "samples": [] if samples is None else samples.to_dict("records"),
        "measures": list(cells.measures),
        "colors": colors,
        "pictures": {
            **_pictures(cells, colors, details),
            **({} if evaluation is None else _truth_pictures(evaluation, cells)),
        },
        "evaluation": evaluation,
        "pages": type_pages(cells, colors, markers, evidence),
        "markers": markers,
        "markers_are_cut": markers is not None and sum(markers.n_all.values()) > len(markers.rows),
        "clusters": clusters_of(adata),
        "marker_columns": [] if markers is None else [c for c in _MARKER_COLUMNS if c in markers.rows],
        "layout": layout,
        "data": _data(cells, layout, markers, max_cells_drawn, seed),
        "n_drawn": min(len(cells), max_cells_drawn),
        "methods": methods.methods(
            cells,
            details,
            n_features=adata.n_vars,
            genome=None if genome is None else str(genome),
            map_origin=layout.origin,
            markers={} if markers is None else markers.parameters,
            truth_accuracy=None if evaluation is None else evaluation.summary["accuracy"],
        ),
        "citation": methods.CITATION,
        "doi": methods.DOI,
        "recorded": methods.recorded(details),
        "versions": _versions(),
    }


def _pictures(cells: Cells, colors: list[str], details: dict[str, Any]) -> dict[str, str]:
    parameters = details.get("parameters", {})
    floor, threshold = parameters.get("min_open"), parameters.get("novelty_threshold")
    # novelty by the softmax is 1 minus the confidence only where this was not calibrated
    softmax = cells.novelty is not None and np.allclose(cells.novelty, 1 - cells.confidence, atol=1e-3)
    edge = parameters.get("novelty_rate", threshold)
    pictures = {
        "confidence": histogram(
            cells.confidence,
            words="confidence",
            color="var(--t0)",
            threshold=float(threshold) if threshold is not None and softmax else None,
            threshold_words="novel below",
        )
    }
    if cells.novelty is not None:
        pictures["novelty"] = histogram(
            cells.novelty,
            words="novelty",
            color="var(--t5)",
            threshold=None if edge is None else 1 - float(edge),
            threshold_words="novel above" if threshold is not None else "novel only above",
        )
    if cells.n_open is not None:
        present = np.flatnonzero(cells.label.n_cells)
        pictures["open_by_type"] = boxes(
            [_shown(cells.label.names[i]) for i in present],
            [colors[i] for i in present],
            quantiles(cells.n_open, cells.label)[present],
            words="open islands a cell",
            floor=floor,
        )
        if cells.sample is not None:
            pictures["open_by_sample"] = boxes(
                cells.sample.names,
                ["var(--accent)"] * len(cells.sample.names),
                quantiles(cells.n_open, cells.sample),
                words="open islands a cell",
                floor=floor,
            )
    if cells.sample is not None:
        pictures["composition"] = stacked_bars(
            cells.sample.names,
            [_shown(name) for name in cells.label.names],
            colors,
            cross_table(cells.sample, cells.label),
            label="Composition of each sample by cell type",
        )
    return pictures


def _truth_pictures(evaluation: Evaluation, cells: Cells) -> dict[str, str]:
    flow = evaluation.flow.loc[:, evaluation.flow.sum(axis=0) > 0]
    rows, columns = [str(name) for name in flow.index], [str(name) for name in flow.columns]
    color = dict(zip(cells.label.names, label_colors(cells.label.names), strict=True))
    for name in rows:  # types that the model does not know: the colours after those it knows
        color.setdefault(name, f"var(--t{len(color) % 24})")
    confusion = evaluation.confusion
    return {
        "confusion": heatmap(
            [f"{name}{'' if known else ' *'}" for name, known in evaluation.per_type["known"].items()],
            [str(name) for name in confusion.columns],
            confusion.to_numpy(),
            row_words="true type",
            column_words="best known type",
            label="Confusion matrix: true types against best known types",
            note="" if evaluation.per_type["known"].all() else "* unknown to the model",
        ),
        "sankey": bands(
            rows,
            [_shown(name) for name in columns],
            [color[name] for name in rows],
            [color[name] for name in columns],
            flow.to_numpy(),
            label="Where the cells of each true type went, the novel class included",
        ),
    }


def _data(
    cells: Cells, layout: Layout, markers: MarkerTable | None, max_cells_drawn: int, seed: int
) -> dict[str, Any]:
    """Return what the page's scripts read."""
    data: dict[str, Any] = {
        "types": [_shown(name) for name in cells.label.names],
        "map": None,
        "markers": None,
    }
    data["novel"] = cells.label.names.index(keys.NOVEL_LABEL) if keys.NOVEL_LABEL in cells.label.names else -1
    data["sampleKey"] = None if cells.sample is None else cells.sample.key
    data["samples"] = [] if cells.sample is None else cells.sample.names
    data["truthKey"] = None if cells.truth is None else cells.truth.key
    data["truths"] = [] if cells.truth is None else cells.truth.names
    if layout.xy is not None:
        rows = np.arange(len(cells))
        if len(rows) > max_cells_drawn:
            rows = np.sort(np.random.default_rng(seed).choice(rows, max_cells_drawn, replace=False))
        data["map"] = packed_map(layout.xy, cells, rows)
    if markers is not None and len(markers.rows):
        columns = ["cell_type", "peak", *(name for name in _MARKER_COLUMNS if name in markers.rows)]
        data["markers"] = {
            "columns": columns,
            "rows": [list(map(_plain, row)) for row in markers.rows[columns].to_numpy(dtype=object)],
        }
    return data


def _plain(value: Any) -> Any:
    """Return a value for JSON, numbers to 4 digits."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.4g}") if np.isfinite(value) else None
    return None if value is None or value is pd.NA else value


def _shown(name: str) -> str:
    return "novel" if name == keys.NOVEL_LABEL else name


def _versions() -> list[tuple[str, str]]:
    rows = [("annatac (this report)", __version__), ("Python", platform.python_version())]
    for name in _PACKAGES:
        try:
            rows.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return rows
