"""One page a type: how many, how sure, from which samples, what else it could be, by which markers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import keys
from annatac.report import svg
from annatac.report.advice import Remark, type_remarks
from annatac.report.cells import Cells
from annatac.report.charts.histogram import histogram
from annatac.report.evidence import Evidence
from annatac.report.markers import MarkerTable
from annatac.report.tables import by_group, cross_table, mean_probabilities

N_SECOND, N_MARKERS, N_TRUE = 4, 10, 5


@dataclass(frozen=True, kw_only=True)
class TypePage:
    """A type with cells. ``shares_of`` lists are rows of name, cells and share."""

    code: int
    name: str
    is_novel: bool
    color: str
    n_cells: int
    share: float
    mean_confidence: float
    median_open: float
    share_low_quality: float
    samples: list[tuple[str, int, float]]
    second: list[tuple[str, float]]
    true_types: list[tuple[str, int, float]]
    n_markers: int | None
    markers: list[dict[str, Any]]
    evidence: Evidence | None
    remarks: list[Remark]
    confidence_svg: str


def type_pages(
    cells: Cells, colors: list[str], markers: MarkerTable | None, evidence: dict[str, Evidence]
) -> list[TypePage]:
    """Return the pages of the types that have cells, in the model's order, the novel class last."""
    table = by_group(cells, cells.label)
    probabilities = mean_probabilities(cells)
    samples = None if cells.sample is None else cross_table(cells.label, cells.sample)
    truth = None if cells.truth is None else cross_table(cells.label, cells.truth)
    pages = []
    for _, row in table.iterrows():
        code = int(row["code"])
        second = [] if probabilities is None else _second(cells, code, probabilities[code])
        in_sample = (
            [] if samples is None or cells.sample is None else _rows(cells.sample.names, samples[code])
        )
        n_markers, rows = _markers(markers, row["name"])
        pages.append(
            TypePage(
                code=code,
                name=row["name"],
                is_novel=row["name"] == keys.NOVEL_LABEL,
                color=colors[code],
                n_cells=int(row["n_cells"]),
                share=row["share"],
                mean_confidence=row["mean_confidence"],
                median_open=row["median_open"],
                share_low_quality=row["share_low_quality"],
                samples=in_sample,
                second=second,
                true_types=[]
                if truth is None or cells.truth is None
                else _rows(cells.truth.names, truth[code])[:N_TRUE],
                n_markers=n_markers,
                markers=rows,
                evidence=evidence.get(row["name"]),
                remarks=type_remarks(
                    row,
                    n_samples=len(cells.sample.names) if cells.sample is not None else 1,
                    largest_sample_share=in_sample[0][2] if in_sample else 0.0,
                    n_markers=n_markers,
                    second=second[0][1] if second else 0.0,
                ),
                confidence_svg=histogram(
                    cells.confidence[cells.label.code == code],
                    words="confidence",
                    color=colors[code],
                    width=400,
                    height=190,
                ),
            )
        )
    return pages


def label_colors(names: list[str]) -> list[str]:
    """Return the colour of each type as the page's style names it."""
    return [svg.type_color(code, names, keys.NOVEL_LABEL) for code in range(len(names))]


def _second(cells: Cells, code: int, means: npt.NDArray[np.float64]) -> list[tuple[str, float]]:
    """Return the known types that its cells come nearest to, itself left out."""
    order = [int(i) for i in np.argsort(-means) if cells.classes[i] != cells.label.names[code]]
    return [(cells.classes[i], float(means[i])) for i in order[:N_SECOND] if means[i] >= 0.005]


def _rows(names: list[str], counts: npt.NDArray[np.int64]) -> list[tuple[str, int, float]]:
    total = max(int(counts.sum()), 1)
    order = np.argsort(-counts, kind="stable")
    return [(names[i], int(counts[i]), counts[i] / total) for i in order if counts[i]]


def _markers(markers: MarkerTable | None, name: str) -> tuple[int | None, list[dict[str, Any]]]:
    if markers is None or markers.problem:
        return None, []
    own = markers.rows[markers.rows["cell_type"] == name].head(N_MARKERS)
    return markers.n_all.get(name, 0), own.astype(object).where(pd.notna(own), None).to_dict("records")
