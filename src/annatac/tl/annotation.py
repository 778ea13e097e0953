"""Name every cell of a query."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from annatac import __version__, keys
from annatac.annotate.adapt import Adaptation
from annatac.annotate.adapt import adapt as adapt_to
from annatac.annotate.annotator import Annotator
from annatac.annotate.blocks import call_blocks, joined
from annatac.annotate.calls import CallSettings
from annatac.pp.quality import MIN_OPEN
from annatac.pp.tokens import Overlap

if TYPE_CHECKING:
    from anndata import AnnData

SCHEMA_VERSION = 1


class Annotation(NamedTuple):
    """New slots of a query: ``obs`` columns, ``obsm`` arrays and ``uns`` entries by name."""

    obs: pd.DataFrame
    obsm: dict[str, npt.NDArray[Any]]
    uns: dict[str, Any]

    def into(self, adata: AnnData, *, copy: bool) -> AnnData | None:
        """Write the slots into ``adata``; into a copy in memory, which is returned, with ``copy``."""
        if copy:
            adata = adata.to_memory() if adata.isbacked else adata.copy()
        for name, column in self.obs.items():
            adata.obs[name] = column
        for name, array in self.obsm.items():
            adata.obsm[name] = array
        adata.uns.update(self.uns)
        return adata if copy else None


def annotate(
    adata: AnnData,
    model: Annotator | str | Path,
    *,
    novelty_method: str | None = None,
    novelty_rate: float = 0.05,
    novelty_threshold: float | None = None,
    min_open: int = MIN_OPEN,
    safe_level: float = 0.95,
    error_rate: float | None = None,
    hierarchy: str | Path | None = None,
    chain: str | Path | None = None,
    lift_islands: bool = False,
    adapt: bool = False,
    device: str = "auto",
    precision: str = "float32",
    copy: bool = False,
) -> AnnData | None:
    """Name every cell of a query by a fine-tuned model.

    Parameters
    ----------
    adata
        Query, cells x peaks or islands, counts; backed works.
    model
        An annotator, or the path of a model folder.
    novelty_method
        'evidence': a cell is ``Novel_cell_type`` where less speaks for its best type than for all but a share
        ``novelty_rate`` of held-out reference cells of its depth, and all but twice that share of those called
        like it. 'softmax', the paper's rule: where its best softmax, before calibration, is under
        ``novelty_threshold``. By default the first; giving a threshold selects the second, and models that could
        not be calibrated have no other.
    novelty_rate
        Share of cells of known types that may be called novel, over 0 and under 1; of one type, twice as many.
    novelty_threshold
        0 to 1; 0.5 where the method is 'softmax'.
    min_open
        Cells with fewer known open islands are flagged ``low_quality``.
    safe_level
        The probability that ``annatac_label_safe`` must have: 1 minus the error rate that is wished.
    error_rate
        Also write prediction sets, which may miss the true type of such a share of the cells (over 0, under 1).
    hierarchy
        Ancestors of the types instead of the model's: 'cell-ontology', a CSV or TSV of child and parent, or
        'none' (then there is no safe label).
    chain, lift_islands
        UCSC chain file to lift a query on another assembly than the model's by, and whether counts that are in
        islands already may be lifted, at a loss; see :meth:`annatac.annotate.Annotator.with_chain`.
    adapt
        Take the query's own cells into the types' profiles first (:func:`annatac.annotate.adapt.adapt`): then a cell's
        call depends on the others, and the guarantee of prediction sets no longer holds.
    device
        'auto', 'cpu', 'cuda', ...
    precision
        'float32', 'bf16', or 'auto'; see :func:`annatac.train.device.choose_precision`.
    copy
        Return a copy instead of writing into ``adata``.

    Returns
    -------
    None, or the copy with these slots:

    ``obs['annatac_label']`` (categorical), ``obs['annatac_confidence']`` (float32, calibrated probability of the
    best type), ``obs['annatac_novelty']`` (float32 in [0, 1], higher = newer), ``obs['annatac_is_novel']``
    (bool), ``obs['annatac_reason']`` (categorical: '', low_quality, novel, doublet, ambiguous; the first that
    holds), ``obs['annatac_n_open']`` (int32), ``obs['annatac_doublet_score']`` (float32 in [0, 1]),
    ``obs['annatac_label_safe']`` (categorical: the best type, or the nearest of its ancestors that is
    probable enough; novelty plays no part in it), ``obsm['annatac_probabilities']`` (float32, cells x
    types, calibrated), ``obsm['annatac_prediction_set']`` (bool, cells x types, with ``error_rate``),
    ``obsm['X_annatac']`` (float32, cells x width), ``uns['annatac']``.

    Raises
    ------
    ConfigError, ModelError
        A setting is out of range; the model was not calibrated and the settings need it.
    InputError, AssemblyError, OverlapError
        The query cannot be used, is on another assembly, or shares too little with the model.
    """
    result = annotation(
        adata,
        model,
        novelty_method=novelty_method,
        novelty_rate=novelty_rate,
        novelty_threshold=novelty_threshold,
        min_open=min_open,
        safe_level=safe_level,
        error_rate=error_rate,
        hierarchy=hierarchy,
        chain=chain,
        lift_islands=lift_islands,
        adapt=adapt,
        device=device,
        precision=precision,
    )
    return result.into(adata, copy=copy)


def annotation(
    adata: AnnData,
    model: Annotator | str | Path,
    *,
    novelty_method: str | None = None,
    novelty_rate: float = 0.05,
    novelty_threshold: float | None = None,
    min_open: int = MIN_OPEN,
    safe_level: float = 0.95,
    error_rate: float | None = None,
    hierarchy: str | Path | None = None,
    chain: str | Path | None = None,
    lift_islands: bool = False,
    adapt: bool = False,
    device: str = "auto",
    precision: str = "float32",
) -> Annotation:
    """Return what :func:`annotate` writes, and leave ``adata`` as it is."""
    settings = CallSettings(
        novelty_method=novelty_method,
        novelty_rate=novelty_rate,
        novelty_threshold=novelty_threshold,
        min_open=min_open,
        safe_level=safe_level,
        error_rate=error_rate,
        adapt=adapt,
    )
    annotator = model if isinstance(model, Annotator) else Annotator.load(model)
    if hierarchy is not None:
        annotator = annotator.with_hierarchy(hierarchy)
    if chain is not None or lift_islands:
        annotator = annotator.with_chain(chain, lift_islands=lift_islands)
    settings = settings.for_model(annotator)
    query = annotator.query(adata)
    adaptation = None
    if settings.adapt:
        adaptation = adapt_to(annotator, query, settings, device=device, precision=precision)
    calls = joined(
        call_blocks(annotator, query, settings, adaptation=adaptation, device=device, precision=precision)
    )
    uns = annotation_record(annotator, settings, query.overlap, adaptation)
    return Annotation(calls.obs.set_axis(adata.obs_names), calls.obsm, uns)


def annotation_record(
    annotator: Annotator, settings: CallSettings, overlap: Overlap, adaptation: Adaptation | None = None
) -> dict[str, Any]:
    """Return the entries of ``uns``: what the cells were annotated with."""
    record = {
        "schema_version": SCHEMA_VERSION,
        "annatac_version": __version__,
        "model_id": annotator.artifact.model_id,
        "classes": np.array(annotator.classes, dtype=str),
        "calibration": annotator.artifact.calibration["method"],
        "parameters": settings.to_dict(),
        "overlap": overlap.to_dict(),
    }
    if settings.error_rate is not None and annotator.trust is not None:
        pooled = annotator.trust.thresholds(settings.error_rate).is_pooled
        record["pooled_types"] = np.array(annotator.classes, dtype=str)[pooled]
    if adaptation is not None:
        record["adaptation"] = adaptation.record
    if (tree := annotator.hierarchy) is not None:
        record["hierarchy"] = tree.to_uns()
    return {keys.UNS: record}
