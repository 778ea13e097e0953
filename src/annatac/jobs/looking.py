"""Annotated files: judged, laid out, drawn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from annatac import keys
from annatac.errors import ConfigError, nearest
from annatac.io.atomic import atomic_path
from annatac.io.read import read_one
from annatac.io.write import write_annotated
from annatac.jobs.outputs import check_outputs

if TYPE_CHECKING:
    from annatac.benchmark.evaluate import Evaluation

PLOTS = ("umap", "confusion", "sankey", "novelty", "risk-coverage", "reliability", "training")
_NEED_TRUTH = ("confusion", "sankey", "risk-coverage", "reliability")


def evaluate(
    path: str | Path,
    *,
    truth: str,
    by: str | None = None,
    json_path: str | Path | None = None,
    plot_path: str | Path | None = None,
) -> Evaluation:
    """Return how well an annotated file agrees with ``obs[truth]``, and write figures and picture.

    Parameters
    ----------
    json_path
        Write :meth:`Evaluation.to_dict` there.
    plot_path
        Draw the confusion matrix there (PNG, PDF or SVG by its ending).

    Raises
    ------
    InputError, LabelError, OutputError
        See :func:`annatac.evaluate`; an output cannot be written.
    """
    from annatac.benchmark.evaluate import evaluate as judge

    check_outputs(json_path, pictures=[plot_path])
    evaluation = judge(read_one(path, backed=True), truth, by=by)
    if json_path is not None:
        write_json(evaluation.to_dict(), json_path)
    if plot_path is not None:
        from annatac import pl

        pl.save(pl.confusion_matrix(evaluation), plot_path)
    return evaluation


def embed(
    path: str | Path,
    output: str | Path | None = None,
    *,
    n_neighbors: int = 15,
    leiden_resolution: float | None = None,
    tsne: bool = False,
    plot_path: str | Path | None = None,
    sample_key: str | None = None,
    seed: int = 0,
) -> Path:
    """Add a UMAP of the model's embedding to an annotated file; return the file written.

    Written: ``obsm['X_umap']`` and, with ``leiden_resolution``, ``obs['leiden']``, with ``tsne``
    ``obsm['X_tsne']``; all else stays as it is. ``plot_path`` gets panels of label, confidence and, where there is a
    column of samples, sample.
    """
    from anndata import AnnData

    from annatac.tl import embed as lay_out

    output = Path(path if output is None else output)
    check_outputs(output, pictures=[plot_path])
    adata = read_one(path, backed=True)
    if sample_key is None and keys.SAMPLE in adata.obs:
        sample_key = keys.SAMPLE
    vectors = {keys.EMBEDDING: adata.obsm[keys.EMBEDDING]} if keys.EMBEDDING in adata.obsm else {}
    cells = AnnData(obs=adata.obs[[]].copy(), obsm=vectors)
    lay_out(cells, n_neighbors=n_neighbors, leiden_resolution=leiden_resolution, tsne=tsne, seed=seed)
    layouts = {name: cells.obsm[name] for name in ("X_umap", "X_tsne") if name in cells.obsm}
    if plot_path is not None:
        from annatac import pl

        shown = AnnData(obs=adata.obs.copy(), obsm=layouts, uns={keys.UNS: adata.uns.get(keys.UNS, {})})
        axes = pl.umap_panels(shown, basis="tsne" if tsne else "umap", sample_key=sample_key)
        pl.save(axes[0], plot_path)
    write_annotated(output, source=path, adata=adata, obs=cells.obs, obsm=layouts, uns={})
    return output


def plot(
    kind: str, path: str | Path, output: str | Path, *, truth: str | None = None, color: str | None = None
) -> Path:
    """Draw one picture of an annotated file, or of a training run (model folder or run log).

    Parameters
    ----------
    kind
        'umap' (``truth`` adds a panel; ``color`` draws one column of obs alone), 'confusion' or 'sankey' (both
        need ``truth``), 'novelty', 'risk-coverage' and 'reliability' (need ``truth``), 'training'.
    output
        PNG, PDF or SVG by its ending.
    """
    if kind not in PLOTS:
        raise ConfigError(
            f"Plot '{kind}' is unknown; expected one of: {', '.join(PLOTS)}.{nearest(kind, PLOTS)}"
        )
    if kind in _NEED_TRUTH and truth is None:
        raise ConfigError(f"The {kind} plot compares with true types: name their column with --truth.")
    check_outputs(pictures=[output])
    from annatac import pl

    if kind == "training":
        return pl.save(pl.training_panels(path)[0], output)
    adata = read_one(path, backed=True)
    if kind == "umap":
        axes = pl.umap(adata, color) if color is not None else pl.umap_panels(adata, truth)[0]
        return pl.save(axes, output)
    if kind == "novelty":
        return pl.save(pl.novelty(adata), output)
    assert truth is not None
    draw = {
        "confusion": pl.confusion_matrix,
        "sankey": pl.sankey,
        "risk-coverage": pl.risk_coverage,
        "reliability": pl.reliability,
    }[kind]
    return pl.save(draw(adata, truth), output)


def plot_learning(models: Sequence[str | Path], output: str | Path, *, names: Sequence[str] = ()) -> Path:
    """Draw how several fine-tunings went beside each other, see :func:`annatac.pl.learning_curves`."""
    check_outputs(pictures=[output])
    from annatac import pl

    return pl.save(pl.learning_curves(models, names=names or None)[0], output)


def write_json(content: object, path: str | Path) -> None:
    """Write JSON, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
