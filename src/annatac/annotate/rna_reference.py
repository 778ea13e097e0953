"""An scRNA-seq reference and a scATAC-seq query in the same genes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from annatac import keys
from annatac.errors import InputError, LabelError, OverlapError, nearest
from annatac.pp.counts import as_csr, in_chunks
from annatac.pp.gene_activity import gene_scores

if TYPE_CHECKING:
    from anndata import AnnData

SYMBOL_COLUMNS = (
    "gene_symbol",
    "gene_symbols",
    "symbol",
    "gene_name",
    "gene_names",
    "feature_name",
    "gene_short_name",
)
MIN_SHARED = 200  # genes
_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d{11}(\.\d+)?$")
_SCALE = 1e4


@dataclass(frozen=True, kw_only=True)
class SharedGenes:
    """Reference and query over the genes that both have.

    Attributes
    ----------
    genes
        Object (G,), symbols in upper case, sorted.
    rna, atac
        float32 CSR, cells x G: log(1 + counts, or gene scores, scaled to 10,000 a cell).
    labels
        Object, the types of the reference's cells.
    n_rna, n_atac
        Genes that each has.
    """

    genes: npt.NDArray[np.object_]
    rna: sp.csr_matrix
    atac: sp.csr_matrix
    labels: npt.NDArray[np.object_]
    n_rna: int
    n_atac: int


def shared_genes(
    adata: AnnData,
    rna: AnnData,
    label_key: str,
    genes: str | Path | pd.DataFrame,
    *,
    layer: str | None = None,
) -> SharedGenes:
    """Return query and reference over their shared genes, log-normalised.

    Genes are matched by symbol, whatever its case; of a symbol that occurs twice the counts are added. Where the
    reference's genes are named by Ensembl ids, a column of symbols in its ``var`` is used.

    Parameters
    ----------
    adata
        Query, cells x peaks or islands, counts.
    rna
        Reference, cells x genes, raw counts in X or in ``layer``.
    label_key
        Column of the reference's ``obs``; cells without a type are left out.
    genes
        As in :func:`annatac.pp.gene_scores`, of the query's assembly.

    Raises
    ------
    LabelError
        No such column; fewer than two types.
    InputError
        The reference's counts are no raw counts; its genes have no symbols.
    OverlapError
        Fewer than 200 genes in common.
    """
    labels = _labels(rna, label_key)
    labelled = labels != ""
    counts = _raw_counts(rna, layer)[labelled]
    rna_symbols = _symbols(rna)
    scores = gene_scores(adata, genes, scale_to=None)
    atac_symbols = np.array([str(name).upper() for name in scores.var_names], dtype=object)
    shared = np.intersect1d(rna_symbols, atac_symbols)
    shared = shared[shared != ""]
    if len(shared) < MIN_SHARED:
        raise OverlapError(
            f"Query and RNA reference have {len(shared):,} genes in common; {MIN_SHARED} or more are expected. The "
            f"reference's {len(set(rna_symbols)):,} genes look like '{rna.var_names[0]}', the query's "
            f"{len(set(atac_symbols)):,} like '{scores.var_names[0]}'. Are both of one species, and does --gtf hold "
            "gene symbols?"
        )
    return SharedGenes(
        genes=shared,
        rna=log_scaled(_gathered(counts, rna_symbols, shared)),
        atac=log_scaled(_gathered(sp.csr_matrix(scores.X), atac_symbols, shared)),
        labels=labels[labelled],
        n_rna=len(set(rna_symbols)),
        n_atac=len(set(atac_symbols)),
    )


def log_scaled(x: sp.csr_matrix) -> sp.csr_matrix:
    """Return log(1 + x scaled to 10,000 a row), float32 CSR."""
    total = np.asarray(x.sum(axis=1)).ravel()
    factor = np.divide(_SCALE, total, out=np.zeros(len(total)), where=total > 0)
    scaled = sp.csr_matrix(sp.diags(factor) @ x, dtype=np.float32)
    scaled.data = np.log1p(scaled.data)
    return scaled


def _labels(rna: AnnData, label_key: str) -> npt.NDArray[np.object_]:
    if label_key not in rna.obs:
        columns = [str(name) for name in rna.obs.columns]
        raise LabelError(
            f"obs of the RNA reference has no column '{label_key}'.{nearest(label_key, columns)} It has: "
            f"{', '.join(columns) or 'none'}."
        )
    column = rna.obs[label_key]
    labels = column.astype(object).where(column.notna(), "").astype(str).str.strip().to_numpy(dtype=object)
    if keys.NOVEL_LABEL in labels:
        raise LabelError(f"'{keys.NOVEL_LABEL}' is the name of cells of no known type: no type may have it.")
    if (n_types := len(set(labels) - {""})) < 2:
        raise LabelError(
            f"obs['{label_key}'] of the RNA reference has {n_types} type(s); two or more are needed."
        )
    return labels


def _raw_counts(rna: AnnData, layer: str | None) -> sp.csr_matrix:
    if layer is not None and layer not in rna.layers:
        raise InputError(
            f"The RNA reference has no layer '{layer}'. It has: {', '.join(map(str, rna.layers)) or 'none'}."
        )
    x: Any = rna.X if layer is None else rna.layers[layer]
    if x is None:
        raise InputError("The RNA reference has no X: name the layer with the raw counts (--rna-layer).")
    for rows in in_chunks(x):
        if rows.nnz and (
            rows.data.min() < 0 or not np.isfinite(rows.data).all() or (rows.data % 1 != 0).any()
        ):
            wrong = rows.data[(rows.data < 0) | ~np.isfinite(rows.data) | (rows.data % 1 != 0)][0]
            named = [name for name in ("counts", "raw_counts", "raw", "spliced") if name in rna.layers]
            hint = (
                f" Layer '{named[0]}' may hold them: --rna-layer {named[0]}."
                if named and layer is None
                else ""
            )
            where = "X" if layer is None else f"Layer '{layer}'"
            raise InputError(
                f"{where} of the RNA reference holds values such as {wrong:.4g}; raw counts are expected, not "
                f"normalised or scaled ones.{hint}"
            )
    return as_csr(x)


def _symbols(rna: AnnData) -> npt.NDArray[np.object_]:
    """Return the reference's gene symbols in upper case, '' where there is none."""
    names = rna.var_names.astype(str)
    n_ensembl = sum(bool(_ENSEMBL.match(name)) for name in names[:1000])
    if n_ensembl <= min(len(names), 1000) / 2:
        return np.array([name.upper() for name in names], dtype=object)
    column = next((name for name in SYMBOL_COLUMNS if name in rna.var), None)
    if column is None:
        raise InputError(
            f"The RNA reference's genes are Ensembl ids such as '{names[0]}', and its var has no column of symbols "
            f"({', '.join(SYMBOL_COLUMNS)}). It has: {', '.join(map(str, rna.var.columns)) or 'none'}. Add one: gene "
            "scores are named by symbol."
        )
    values = rna.var[column]
    symbols = values.astype(object).where(values.notna(), "").astype(str)
    return np.array([name.upper() for name in symbols], dtype=object)


def _gathered(
    x: sp.csr_matrix, symbols: npt.NDArray[np.object_], shared: npt.NDArray[np.object_]
) -> sp.csr_matrix:
    """Return the columns of the shared symbols in their order, those of one symbol added."""
    place = {name: i for i, name in enumerate(shared)}
    target = np.array([place.get(name, -1) for name in symbols])
    rows = np.flatnonzero(target >= 0)
    into = sp.csr_matrix((np.ones(len(rows)), (rows, target[rows])), shape=(len(symbols), len(shared)))
    return sp.csr_matrix(x @ into)
