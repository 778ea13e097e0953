"""Inputs of a command, read and held against the assembly that they state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annatac import keys
from annatac.annotate.lifting import Lifting
from annatac.errors import AssemblyError, ConfigError
from annatac.genome.assemblies import genome_label, is_known
from annatac.io.labels import read_labels
from annatac.pp.assembly import check_genome
from annatac.pp.lift import Lift
from annatac.pp.reading import read

if TYPE_CHECKING:
    from anndata import AnnData

LABELS_KEY = "cell_type"  # obs column that the types of a table of labels go to


def read_checked(
    inputs: Sequence[str | Path],
    *,
    genome: str | None = None,
    genes: str | Path | None = None,
    labels: str | Path | None = None,
    label_key: str | None = None,
    **options: Any,
) -> AnnData:
    """Return the inputs as :func:`annatac.read` does, with labels, after the check of their assembly.

    Parameters
    ----------
    genes
        GTF, GFF3 or BED file of the stated assembly's genes: openness at their start sites is checked too.
    labels
        Table of barcode and type; goes to ``obs[label_key]``, by default ``obs['cell_type']``.
    options
        As those of :func:`annatac.read`.

    Raises
    ------
    AssemblyError
        The coordinates are clearly those of another assembly.
    """
    adata = read(list(inputs), genome=genome, **options)
    check_stated_genome(adata, genes)
    if labels is not None:
        adata.obs[label_key or LABELS_KEY] = read_labels(labels, adata.obs_names)
    return adata


def read_to_lift(
    path: str | Path,
    target: str,
    *,
    chain: str | Path | None = None,
    genome: str | None = None,
    genes: str | Path | None = None,
    bin_size: int = 5000,
    **options: Any,
) -> tuple[AnnData, Lift | None]:
    """Return one input as :func:`annatac.read` does, and the lift that takes it to the assembly ``target``.

    There is none where the input is on it. Fragments without peaks are counted in bins narrow enough to be lifted.

    Parameters
    ----------
    chain
        UCSC chain file, in either direction; None looks for one among :mod:`annatac.datasets`.
    genes
        Of ``target``; they check cells that are on it.

    Raises
    ------
    ConfigError
        The input's assembly is not stated.
    AssemblyError
        No chain file, or one between others; the coordinates are those of another assembly than is stated.
    """
    lifting = Lifting(None if chain is None else Path(chain))
    lift = lifting.between(genome, target)
    counting = {} if lift is None or options.get("peaks") is not None else lift.counting(None, bin_size)
    adata = read(path, genome=genome, **{**options, "bin_size": bin_size, **counting})
    stated = adata.uns.get(keys.GENOME)
    if stated is None:
        raise ConfigError(
            f"The assembly of {path} is not stated: whether it is to be lifted to {target} cannot be told. Name it "
            "with --genome."
        )
    lift = lift or lifting.between(str(stated), target)
    if lift is None and genome_label(str(stated)) != genome_label(target):
        raise AssemblyError(
            f"{path} is on {genome_label(str(stated))}, and no way leads from there to {genome_label(target)}. Give a "
            "UCSC chain file between the two, in either direction (--chain hg19ToHg38.over.chain.gz)."
        )
    check_stated_genome(adata, genes if lift is None else None)
    return adata, lift


def check_stated_genome(adata: AnnData, genes: str | Path | None = None) -> None:
    """Refuse cells whose coordinates, or openness at start sites of ``genes``, betray another assembly."""
    stated = adata.uns.get(keys.GENOME)
    known = isinstance(stated, str) and is_known(stated)
    check_genome(adata, genes_by_assembly={stated: genes} if genes is not None and known else None)


def label_column(label_key: str | None, labels: str | Path | None) -> str:
    """Return the column of types; refuse a command that names neither a column nor a table."""
    if label_key is None and labels is None:
        raise ConfigError(
            "Where are the cell types? Name the column of obs with --label-key, or a table of barcode and "
            "type with --labels."
        )
    return label_key or LABELS_KEY
