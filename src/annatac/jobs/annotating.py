"""Queries on disk -> an annotated file and a table of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from annatac import keys
from annatac.errors import ConfigError, nearest
from annatac.io.atomic import atomic_path, check_writable
from annatac.io.write import write_annotated
from annatac.jobs.reading import check_stated_genome

if TYPE_CHECKING:
    from anndata import AnnData

NOVELTY_METHODS = ("softmax",)
_CSV = {
    "label": keys.LABEL,
    "confidence": keys.CONFIDENCE,
    "novelty": keys.NOVELTY,
    "is_novel": keys.IS_NOVEL,
    "reason": keys.REASON,
    "label_safe": keys.LABEL_SAFE,
}


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """What was written: cells of each label (most frequent first), and how query and model overlap."""

    adata: AnnData
    cells_per_label: dict[str, int]
    n_low_quality: int
    overlap: dict[str, Any]


def annotate(
    queries: Sequence[str | Path],
    output: str | Path,
    *,
    model: str | Path,
    csv: str | Path | None = None,
    report: str | Path | None = None,
    novelty_method: str = "softmax",
    novelty_threshold: float = 0.5,
    safe_level: float = 0.95,
    hierarchy: str | Path | None = None,
    device: str = "auto",
    on_progress: Callable[[int, int], None] | None = None,
    **reading: Any,
) -> Annotated:
    """Read queries, name their cells and write them (h5ad) with the slots of :func:`annatac.tl.annotate`.

    Parameters
    ----------
    output
        File to write; an older one is replaced.
    csv
        Also write a table: barcode, label, confidence, novelty, is_novel, reason, label_safe.
    report
        Also write a page about the annotated cells, by :func:`annatac.report.report`, once ``output`` is there.
    safe_level, hierarchy
        As in :func:`annatac.tl.annotate`.
    on_progress
        Called with the cells that are done and all cells.
    reading
        ``genome``, ``barcodes``, ``min_fragments``, ``chrom_sizes`` as in :func:`annatac.read`.

    Raises
    ------
    ModelError, InputError, AssemblyError, OverlapError, OutputError, MissingDependencyError
        The model folder is damaged; the query cannot be used, is on another assembly, or shares too little
        with the model; an output cannot be written; what a report needs is not installed. Then nothing is
        written.
    """
    from annatac.annotate.annotator import Annotator
    from annatac.report.writing import check_report
    from annatac.report.writing import report as write_report
    from annatac.tl.annotation import annotation

    if novelty_method not in NOVELTY_METHODS:
        raise ConfigError(
            f"Novelty method '{novelty_method}' is unknown; known are: {', '.join(NOVELTY_METHODS)}."
            f"{nearest(novelty_method, NOVELTY_METHODS)}"
        )
    for path in (output, csv):
        if path is not None:
            check_writable(path)
    if report is not None:
        check_report(report)
    annotator = Annotator.load(model)
    paths = [Path(query) for query in queries]
    adata = annotator.read(paths, backed=len(paths) == 1, **reading)
    check_stated_genome(adata)
    result = annotation(
        adata,
        annotator,
        novelty_threshold=novelty_threshold,
        safe_level=safe_level,
        hierarchy=hierarchy,
        device=device,
        on_progress=None if on_progress is None else lambda done: on_progress(done, adata.n_obs),
    )
    with ExitStack() as files:
        if csv is not None:  # complete before the h5ad takes its place, in place after it
            labels_csv(result.obs).to_csv(files.enter_context(atomic_path(csv)), index=False)
        write_annotated(
            output,
            source=paths[0] if len(paths) == 1 else None,
            adata=adata,
            obs=result.obs,
            obsm=result.obsm,
            uns=result.uns,
        )
    if report is not None:
        write_report(output, report, model=annotator)
    counts = result.obs[keys.LABEL].value_counts()
    return Annotated(
        adata=adata,
        cells_per_label={str(name): int(n) for name, n in counts.items() if n},
        n_low_quality=int((result.obs[keys.REASON] == "low_quality").sum()),
        overlap=result.uns[keys.UNS]["overlap"],
    )


def labels_csv(obs: pd.DataFrame) -> pd.DataFrame:
    """Return the table that ``--csv`` writes, one row a cell."""
    table = pd.DataFrame({name: obs[slot].to_numpy() for name, slot in _CSV.items() if slot in obs})
    table.insert(0, "barcode", obs.index.to_numpy())
    return table.round({"confidence": 6, "novelty": 6})
