"""What a biologist should look at, in plain words, each from a number of the report."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from annatac import keys
from annatac.pp.tokens import MUCH_SILENT
from annatac.report.cells import Cells

# Bounds of what is worth a remark; they draw attention and decide nothing.
MANY_NOVEL, FEW_NOVEL, MANY_LOW, WEAK_CONFIDENCE, LITTLE_OVERLAP, FEW_CELLS = 0.2, 0.001, 0.15, 0.7, 0.5, 20


class Remark(NamedTuple):
    """``level``: 'good', 'note' or 'look' (worth a look before going on)."""

    level: str
    text: str


def remarks(cells: Cells, samples: pd.DataFrame | None, details: dict[str, Any]) -> list[Remark]:
    """Return the remarks on all cells: overlap, quality, novelty, confidence, calibration, samples."""
    found = [*_of_overlap(details.get("overlap", {})), *_of_quality(cells), *_of_novelty(cells)]
    found += _of_confidence(cells, str(details.get("calibration", "")))
    if samples is not None and len(samples) > 1:
        found += _of_samples(samples)
    order = {"look": 0, "note": 1, "good": 2}
    return sorted(found, key=lambda remark: order[remark.level])


def type_remarks(
    row: pd.Series, *, n_samples: int, largest_sample_share: float, n_markers: int | None, second: float
) -> list[Remark]:
    """Return the remarks on one type."""
    if row["name"] == keys.NOVEL_LABEL:
        return [
            Remark(
                "note",
                "These cells fit no known type well enough. They may be a type that the reference lacks, cells "
                "in between two types, doublets, or cells with too little signal. A tight cluster of its own "
                "with its own markers speaks for a new type; cells scattered between clusters speak against it.",
            )
        ]
    found = []
    if row["n_cells"] < FEW_CELLS:
        found.append(
            Remark(
                "look",
                f"Only {_cells(row['n_cells'])}: look at them one by one before counting on this type.",
            )
        )
    if row["mean_confidence"] < WEAK_CONFIDENCE:
        found.append(
            Remark(
                "look",
                f"Mean confidence is {row['mean_confidence']:.2f}: many of these cells could be another type; see "
                "the second choices.",
            )
        )
    if n_samples > 1 and largest_sample_share > 0.9 and row["n_cells"] >= FEW_CELLS:
        found.append(
            Remark(
                "look",
                f"{largest_sample_share:.0%} of its cells come from one sample: biology, or a batch effect?",
            )
        )
    if second > 0.25:
        found.append(
            Remark("note", "Its runner-up is close: treat the two as one group where that is enough.")
        )
    if n_markers == 0:
        found.append(
            Remark("look", "No marker peak sets it apart: too few cells, or the type is hardly distinct.")
        )
    return found


def _of_overlap(overlap: dict[str, Any]) -> list[Remark]:
    share = overlap.get("share_of_query_counts_known")
    if share is None:
        return []
    silent = float(overlap.get("share_silent", 0))
    if silent >= MUCH_SILENT:
        return [
            Remark(
                "look",
                f"The cells have no count on {overlap['silent_chroms']}: {silent:.0%} of the openness that the model "
                "learnt from lies there. Is the fragment file, or the table of peaks, complete?",
            )
        ]
    if share < LITTLE_OVERLAP:
        return [
            Remark(
                "look",
                f"Only {share:.0%} of the cells' counts lie in regions that the model knows. Labels rest on that "
                "part alone: check that both are on the same genome assembly, and prefer fragments to peaks.",
            )
        ]
    return [Remark("good", f"{share:.0%} of the cells' counts lie in regions that the model knows.")]


def _of_quality(cells: Cells) -> list[Remark]:
    share = float(cells.is_low_quality.mean())
    if share > MANY_LOW:
        return [
            Remark(
                "look",
                f"{share:.0%} of the cells have too few open islands to be named with any certainty. Raise the "
                "floor when calling cells (fragments, TSS enrichment), or leave these cells out of what follows.",
            )
        ]
    if share > 0:
        return [
            Remark(
                "note",
                f"{_cells(cells.is_low_quality.sum())} ({share:.1%}) have too few open islands; they keep their "
                "best guess, marked low_quality. Leave them out of counts of cell types.",
            )
        ]
    return [Remark("good", "No cell is below the floor of open islands.")]


def _of_novelty(cells: Cells) -> list[Remark]:
    n, share = int(cells.is_novel.sum()), float(cells.is_novel.mean())
    if share > MANY_NOVEL:
        return [
            Remark(
                "look",
                f"{share:.0%} of the cells fit no known type. Either the tissue holds types that the reference "
                "lacks, or query and reference differ in platform, depth or peaks. Look at the map coloured by "
                "novelty: islands of novel cells are new types; novel cells everywhere mean that the reference "
                "does not fit.",
            )
        ]
    if share > FEW_NOVEL:
        return [
            Remark(
                "note",
                f"{_cells(n)} ({share:.1%}) are called novel. On the map, a cluster of them is worth a name of "
                "its own; single ones between clusters are usually cells in between or doublets.",
            )
        ]
    return [
        Remark(
            "note",
            "Hardly any cell is called novel. A type that resembles a known one can still hide among it.",
        )
    ]


def _of_confidence(cells: Cells, calibration: str) -> list[Remark]:
    median = float(np.median(cells.confidence))
    found = []
    if median < WEAK_CONFIDENCE:
        found.append(
            Remark(
                "look",
                f"Median confidence is {median:.2f}: go by broad groups of types rather than by fine ones, and "
                "check the markers of each.",
            )
        )
    else:
        found.append(Remark("good", f"Median confidence is {median:.2f}."))
    if calibration == "none":
        found.append(
            Remark(
                "note",
                "The confidences of this model are not calibrated: they rank the cells, but 0.9 need not mean "
                "right nine times in ten.",
            )
        )
    return found


def _of_samples(samples: pd.DataFrame) -> list[Remark]:
    found = []
    for column, words in (("share_novel", "novel"), ("share_low_quality", "low-quality")):
        shares = samples[column]
        odd = samples[(shares > 2 * shares.median()) & (shares - shares.median() > 0.1)]
        for name, share in zip(odd["name"], odd[column], strict=True):
            found.append(
                Remark(
                    "look",
                    f"Sample {name} has {share:.0%} {words} cells, the median sample {shares.median():.0%}: check its "
                    "library before comparing compositions.",
                )
            )
    return found


def _cells(n: int) -> str:
    return f"{n:,} cell{'' if n == 1 else 's'}"
