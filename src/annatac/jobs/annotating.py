"""Queries on disk -> an annotated file and a table of labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from annatac import keys
from annatac.io.annotated import annotated_file
from annatac.io.atomic import atomic_path, check_writable
from annatac.jobs.processes import together
from annatac.jobs.reading import check_stated_genome

if TYPE_CHECKING:
    from anndata import AnnData

    from annatac.annotate.calls import Calls

_CSV = {
    "label": keys.LABEL,
    "confidence": keys.CONFIDENCE,
    "novelty": keys.NOVELTY,
    "is_novel": keys.IS_NOVEL,
    "reason": keys.REASON,
    "label_safe": keys.LABEL_SAFE,
    "doublet_score": keys.DOUBLET_SCORE,
}


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """What was written: cells of each label (most frequent first), of each reason, and the overlap with the model.

    ``pooled_types``: those without a guarantee of their own, where there are prediction sets. ``adaptation``: the
    record of :class:`annatac.annotate.adapt.Adaptation`, where the query was to be adapted to.
    """

    adata: AnnData
    cells_per_label: dict[str, int]
    cells_per_reason: dict[str, int]
    overlap: dict[str, Any]
    pooled_types: tuple[str, ...] = ()
    adaptation: dict[str, Any] | None = None


@together
def annotate(
    queries: Sequence[str | Path],
    output: str | Path,
    *,
    model: str | Path,
    csv: str | Path | None = None,
    report: str | Path | None = None,
    novelty_method: str | None = None,
    novelty_rate: float = 0.05,
    novelty_threshold: float | None = None,
    safe_level: float = 0.95,
    error_rate: float | None = None,
    hierarchy: str | Path | None = None,
    chain: str | Path | None = None,
    lift_islands: bool = False,
    adapt: bool = False,
    device: str = "auto",
    precision: str = "float32",
    on_progress: Callable[[int, int], None] | None = None,
    **reading: Any,
) -> Annotated:
    """Read queries, name their cells and write them (h5ad) with the slots of :func:`annatac.tl.annotate`.

    One matrix that is on disk as rows of cells (h5ad, zarr, Cell Ranger ATAC's h5) is not loaded: memory holds
    some thousand cells at a time, whatever their number. Under torchrun the processes share the cells; the
    first one writes, and only what it returns has labels.

    Parameters
    ----------
    output
        File to write; an older one is replaced.
    csv
        Also write a table: barcode, label, confidence, novelty, is_novel, reason, label_safe, doublet_score.
    report
        Also write a page about the annotated cells, by :func:`annatac.report.report`, once ``output`` is there.
    novelty_method, novelty_rate, novelty_threshold, safe_level, error_rate, hierarchy, chain, lift_islands, adapt,
    precision
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
    from annatac.annotate.adapt import adapt as adapt_to
    from annatac.annotate.annotator import Annotator
    from annatac.annotate.blocks import call_blocks
    from annatac.annotate.calls import CallSettings
    from annatac.tl.annotation import annotation_record
    from annatac.train.distributed import is_first

    settings = CallSettings(  # refused before anything is read
        novelty_method=novelty_method,
        novelty_rate=novelty_rate,
        novelty_threshold=novelty_threshold,
        safe_level=safe_level,
        error_rate=error_rate,
        adapt=adapt,
    )
    for path in (output, csv):
        if path is not None:
            check_writable(path)
    if report is not None:  # its plots and tests bring scikit-learn and scipy.stats with them
        from annatac.report.writing import check_report
        from annatac.report.writing import report as write_report

        check_report(report)
    annotator = Annotator.load(model).with_chain(chain, lift_islands=lift_islands)
    if hierarchy is not None:
        annotator = annotator.with_hierarchy(hierarchy)
    settings = settings.for_model(annotator)
    paths = [Path(query) for query in queries]
    adata = annotator.read(paths, backed=len(paths) == 1, **reading)
    check_stated_genome(adata)
    query = annotator.query(adata)
    adaptation = None
    if settings.adapt:
        adaptation = adapt_to(annotator, query, settings, device=device, precision=precision)
    uns = annotation_record(annotator, settings, query.overlap, adaptation)
    blocks = call_blocks(
        annotator,
        query,
        settings,
        adaptation=adaptation,
        device=device,
        precision=precision,
        on_progress=None if on_progress is None else lambda done: on_progress(done, adata.n_obs),
    )
    source = paths[0] if len(paths) == 1 else None
    obs = _write(blocks, output, csv, source=source, adata=adata, uns=uns) if is_first() else _no_obs(blocks)
    if report is not None and is_first():
        write_report(output, report, model=annotator)
    counts, reasons = (obs[slot].value_counts() for slot in (keys.LABEL, keys.REASON))
    record = uns[keys.UNS]
    return Annotated(
        adata=adata,
        cells_per_label={str(name): int(n) for name, n in counts.items() if n},
        cells_per_reason={str(name): int(n) for name, n in reasons.items() if n and name},
        overlap=record["overlap"],
        pooled_types=tuple(map(str, record.get("pooled_types", ()))),
        adaptation=record.get("adaptation"),
    )


def _write(
    blocks: Iterable[Calls],
    output: str | Path,
    csv: str | Path | None,
    *,
    source: Path | None,
    adata: AnnData,
    uns: dict[str, Any],
) -> pd.DataFrame:
    """Write the annotated file and the table as the calls come; return the new columns."""
    with ExitStack() as files:
        # the table is complete before the h5ad takes its place, and in place after it
        table = None if csv is None else files.enter_context(atomic_path(csv))
        file = files.enter_context(annotated_file(output, source=source, adata=adata))
        columns = []
        for calls in blocks:
            file.append(calls.obsm)
            columns.append(calls.obs)
        obs = pd.concat(columns, ignore_index=True).set_axis(adata.obs_names)
        file.finish(obs, uns)
        if table is not None:
            labels_csv(obs).to_csv(table, index=False)
    return obs


def _no_obs(blocks: Iterable[Calls]) -> pd.DataFrame:
    """Do this process's part; the first process writes it. Return its columns of no cell."""
    return pd.concat([calls.obs[:0] for calls in blocks])


def labels_csv(obs: pd.DataFrame) -> pd.DataFrame:
    """Return the table that ``--csv`` writes, one row a cell."""
    table = pd.DataFrame({name: obs[slot].to_numpy() for name, slot in _CSV.items() if slot in obs})
    table.insert(0, "barcode", obs.index.to_numpy())
    return table.round({"confidence": 6, "novelty": 6, "doublet_score": 6})
