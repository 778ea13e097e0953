"""A scATAC-seq query and a labelled scRNA-seq reference on disk -> an annotated file and a table of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annatac import datasets, keys
from annatac.errors import InputError, MissingFileError
from annatac.io.annotated import annotated_file
from annatac.io.atomic import atomic_path, check_writable
from annatac.jobs.annotating import labels_csv

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True, kw_only=True)
class AnnotatedByRna:
    """What was written: cells of each label and reason, and how far the genes agree."""

    cells_per_label: dict[str, int]
    cells_per_reason: dict[str, int]
    overlap: dict[str, Any]


def annotate_by_rna(
    queries: Sequence[str | Path],
    output: str | Path,
    *,
    rna_reference: str | Path,
    label_key: str,
    genes: str | Path | None = None,
    rna_layer: str | None = None,
    csv: str | Path | None = None,
    report: str | Path | None = None,
    novelty_threshold: float | None = None,
    seed: int = 0,
    **reading: Any,
) -> AnnotatedByRna:
    """Read a query, name its cells by an RNA reference and write them with the slots of ``tl.annotate_by_rna``.

    Parameters
    ----------
    genes
        Genes of the query's assembly; otherwise those of :mod:`annatac.datasets`, where they are on this machine.
    reading
        ``genome``, ``barcodes``, ``min_fragments``, ``chrom_sizes`` as in :func:`annatac.read`.

    Raises
    ------
    MissingFileError, InputError, LabelError, OverlapError, OutputError
        A file that is not there; no genes for the query's assembly; see
        :func:`annatac.annotate.rna_reference.shared_genes`; an output that cannot be written. Then nothing is written.
    """
    from annatac.pp.reading import read
    from annatac.report.writing import check_report
    from annatac.report.writing import report as write_report
    from annatac.tl.annotation_by_rna import annotation_by_rna

    for path in (output, csv):
        if path is not None:
            check_writable(path)
    if report is not None:
        check_report(report)
    if not Path(rna_reference).exists():
        raise MissingFileError(f"The RNA reference {rna_reference} does not exist.")
    paths = [Path(query) for query in queries]
    adata = read(paths if len(paths) > 1 else paths[0], **reading)
    where = genes if genes is not None else _genes_of(adata)
    found = annotation_by_rna(
        adata,
        _read_rna(rna_reference),
        label_key,
        genes=where,
        layer=rna_layer,
        seed=seed,
        novelty_threshold=0.5 if novelty_threshold is None else novelty_threshold,
    )
    source = paths[0] if len(paths) == 1 else None
    with annotated_file(output, source=source, adata=adata) as file:
        file.append(found.obsm)
        file.finish(found.obs, found.uns)
        if csv is not None:
            with atomic_path(csv) as table:
                labels_csv(found.obs).to_csv(table, index=False)
    if report is not None:
        write_report(output, report)
    counts, reasons = (found.obs[slot].value_counts() for slot in (keys.LABEL, keys.REASON))
    return AnnotatedByRna(
        cells_per_label={str(name): int(n) for name, n in counts.items() if n},
        cells_per_reason={str(name): int(n) for name, n in reasons.items() if n and name},
        overlap=found.uns[keys.UNS]["overlap"],
    )


def _genes_of(adata: AnnData) -> Path:
    """Return the genes of the query's assembly among the data sets.

    Raises
    ------
    InputError
        The assembly is not stated, or its genes are not on this machine.
    """
    genome = str(adata.uns.get(keys.GENOME, ""))
    name = f"{genome}_genes"
    if name in datasets.names() and datasets.is_here(name):
        return datasets.path(name)
    stated = (
        f"The query is on {genome}, whose genes"
        if genome
        else "The query's assembly is not stated, so its genes"
    )
    raise InputError(
        f"{stated} are not known here: give them by --gtf (GTF, GFF3 or BED, with symbols)"
        + ("." if genome else ", and the assembly by --genome.")
    )


def _read_rna(path: str | Path) -> AnnData:
    import anndata

    if Path(path).suffix != ".h5ad":
        raise InputError(
            f"The RNA reference {path} is no .h5ad file: one of cells x genes, raw counts, is expected."
        )
    try:
        return anndata.read_h5ad(path)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"The RNA reference {path} cannot be read as h5ad: {error}") from error
