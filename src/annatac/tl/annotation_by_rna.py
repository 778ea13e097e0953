"""Name every cell of a scATAC-seq query by a labelled scRNA-seq reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from annatac import __version__, keys
from annatac.annotate.calls import is_ambiguous
from annatac.annotate.rna_reference import shared_genes
from annatac.annotate.rna_transfer import Transfer, TransferSettings, transfer
from annatac.pp.counts import as_csr
from annatac.pp.quality import MIN_OPEN
from annatac.pp.validate import validate_counts
from annatac.tl.annotation import SCHEMA_VERSION, Annotation

if TYPE_CHECKING:
    from anndata import AnnData


def annotate_by_rna(
    adata: AnnData,
    rna: AnnData,
    label_key: str,
    *,
    genes: str | Path | pd.DataFrame,
    layer: str | None = None,
    novelty_threshold: float = 0.5,
    n_markers: int = 100,
    n_smooth: int = 30,
    min_open: int = MIN_OPEN,
    seed: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Name every cell of a scATAC-seq query by scRNA-seq cells whose types are known.

    The query's gene scores and the reference's expression are compared over the genes that both have, see
    :func:`annatac.annotate.rna_transfer.transfer`. Measured on simulated pairs alone.

    Parameters
    ----------
    adata
        Query, cells x peaks or islands with coordinates, counts.
    rna
        Reference, cells x genes, raw counts, with types in ``obs[label_key]``.
    genes
        GTF, GFF3, BED or table of genes on the query's assembly, with symbols.
    layer
        Of ``rna``, where its raw counts are; X otherwise.
    novelty_threshold
        A cell whose best probability is under it is ``Novel_cell_type``.
    n_markers, n_smooth
        As in :class:`annatac.annotate.rna_transfer.TransferSettings`.
    min_open
        Cells with fewer open features are flagged ``low_quality``, and never called novel.
    copy
        Return a copy instead of writing into ``adata``.

    Returns
    -------
    None, or the copy with these slots: ``obs['annatac_label']`` (categorical), ``obs['annatac_confidence']`` (float32,
    the best probability, not calibrated), ``obs['annatac_novelty']`` (float32, 1 - confidence),
    ``obs['annatac_is_novel']`` (bool), ``obs['annatac_reason']`` (categorical: '', low_quality, novel, ambiguous),
    ``obs['annatac_n_open']`` (int32), ``obsm['annatac_probabilities']`` (float32, cells x types),
    ``obsm['X_annatac']`` (float32, cells x types, the likeness to each type), ``uns['annatac']``.

    Raises
    ------
    InputError, LabelError, OverlapError, ConfigError
        See :func:`annatac.annotate.rna_reference.shared_genes`; a setting out of range.
    """
    result = annotation_by_rna(
        adata,
        rna,
        label_key,
        genes=genes,
        layer=layer,
        novelty_threshold=novelty_threshold,
        n_markers=n_markers,
        n_smooth=n_smooth,
        min_open=min_open,
        seed=seed,
    )
    return result.into(adata, copy=copy)


def annotation_by_rna(
    adata: AnnData,
    rna: AnnData,
    label_key: str,
    *,
    genes: str | Path | pd.DataFrame,
    layer: str | None = None,
    novelty_threshold: float = 0.5,
    n_markers: int = 100,
    n_smooth: int = 30,
    min_open: int = MIN_OPEN,
    seed: int = 0,
) -> Annotation:
    """Return what :func:`annotate_by_rna` writes, and leave ``adata`` as it is."""
    settings = TransferSettings(n_markers=n_markers, n_smooth=n_smooth, novelty_threshold=novelty_threshold)
    validate_counts(adata)
    shared = shared_genes(adata, rna, label_key, genes, layer=layer)
    counts = as_csr(adata.X)
    found = transfer(shared, counts, settings, seed=seed)
    n_open = np.diff(counts.indptr).astype(np.int32)
    record: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "annatac_version": __version__,
        "classes": np.array(found.classes, dtype=str),
        "calibration": "none",
        "parameters": {
            "method": "rna",
            "novelty_method": "softmax",
            "novelty_threshold": novelty_threshold,
            "n_markers": n_markers,
            "n_smooth": n_smooth,
            "min_open": min_open,
        },
        "overlap": {
            "n_genes_shared": len(shared.genes),
            "n_genes_rna": shared.n_rna,
            "n_genes_atac": shared.n_atac,
            "n_genes_used": found.n_markers,
            "n_rna_cells": len(shared.labels),
        },
    }
    probabilities = found.probabilities
    obs = _calls(found, n_open, novelty_threshold, min_open).set_axis(adata.obs_names)
    obsm = {keys.PROBABILITIES: probabilities, keys.EMBEDDING: found.likeness}
    return Annotation(obs, obsm, {keys.UNS: record})


def _calls(found: Transfer, n_open: np.ndarray, threshold: float, min_open: int) -> pd.DataFrame:
    p = found.probabilities
    best = p.max(axis=1)
    is_low = n_open < max(min_open, 1)
    is_novel = (best < threshold) & ~is_low
    reason = np.select([is_low, is_novel, is_ambiguous(p)], ["low_quality", "novel", "ambiguous"], default="")
    label = np.where(is_novel, keys.NOVEL_LABEL, np.array(found.classes, dtype=object)[p.argmax(axis=1)])
    return pd.DataFrame(
        {
            keys.LABEL: pd.Categorical(label, categories=[*found.classes, keys.NOVEL_LABEL]),
            keys.CONFIDENCE: best.astype(np.float32),
            keys.NOVELTY: (1 - best).astype(np.float32),
            keys.IS_NOVEL: is_novel,
            keys.REASON: pd.Categorical(reason, categories=list(keys.REASONS)),
            keys.N_OPEN: n_open,
        }
    )
