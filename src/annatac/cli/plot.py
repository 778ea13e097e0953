"""``annatac embed`` and ``annatac plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.terminal import say

app = typer.Typer(
    no_args_is_help=True,
    help="Draw annotated cells: umap, confusion, sankey, novelty, risk-coverage, reliability, training, learning.",
    rich_markup_mode="rich",
)

Annotated_ = Annotated[Path, typer.Argument(metavar="H5AD", help="Output of `annatac annotate`.")]
Figure = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="Picture to write (.png, .pdf, .svg).")
]
Truth = Annotated[str, typer.Option(metavar="COLUMN", help="Column of obs with the true types.")]


def embed(
    annotated: Annotated_,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="H5AD", help="File to write; the input itself otherwise."),
    ] = None,
    n_neighbors: Annotated[int, typer.Option(min=2, help="Neighbours of a cell.")] = 15,
    leiden: Annotated[
        float | None, typer.Option(metavar="RESOLUTION", help="Also cluster by Leiden (obs['leiden']).")
    ] = None,
    tsne: Annotated[bool, typer.Option("--tsne", help="Also add a t-SNE (obsm['X_tsne']).")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw label, confidence and sample (.png, .pdf, .svg)."),
    ] = None,
    sample_key: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of obs with the samples; 'sample' if there.")
    ] = None,
    seed: options.Seed = 0,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Add a UMAP (and t-SNE, and clusters) of the model's embedding to annotated cells.

    \b
    Examples:
      annatac embed out.h5ad
      annatac embed out.h5ad --tsne --leiden 1 --plot tsne.png --sample-key donor
      annatac plot umap out.h5ad -o umap.png
    """
    from annatac import jobs

    written = jobs.embed(
        annotated,
        output,
        n_neighbors=n_neighbors,
        leiden_resolution=leiden,
        tsne=tsne,
        plot_path=plot,
        sample_key=sample_key,
        seed=seed,
    )
    added = ["obsm['X_umap']", *(["obsm['X_tsne']"] if tsne else []), *(["obs['leiden']"] if leiden else [])]
    also = f", {plot}" if plot is not None else ""
    say(f"Added {' and '.join(added)} to the cells.\nWritten: {written}{also}")


@app.command()
def umap(
    annotated: Annotated_,
    output: Figure,
    truth: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Draw the true types beside the labels.")
    ] = None,
    color: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Draw this column of obs alone.")
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Draw cells on their UMAP: label and confidence (after `annatac embed`).

    \b
    Examples:
      annatac plot umap out.h5ad -o umap.png --truth cell_type
      annatac plot umap out.h5ad -o donors.png --color donor
    """
    _draw("umap", annotated, output, truth=truth, color=color)


@app.command()
def confusion(annotated: Annotated_, output: Figure, truth: Truth, debug: options.Debug = False) -> None:
    """Draw which type the cells of each true type got.

    \b
    Examples:
      annatac plot confusion out.h5ad -o confusion.png --truth cell_type
    """
    _draw("confusion", annotated, output, truth=truth)


@app.command()
def sankey(annotated: Annotated_, output: Figure, truth: Truth, debug: options.Debug = False) -> None:
    """Draw where the cells of each true type went, the novel class included.

    \b
    Examples:
      annatac plot sankey out.h5ad -o sankey.png --truth cell_type
    """
    _draw("sankey", annotated, output, truth=truth)


@app.command()
def novelty(annotated: Annotated_, output: Figure, debug: options.Debug = False) -> None:
    """Draw how new the cells are, with the threshold past which they are called novel.

    \b
    Examples:
      annatac plot novelty out.h5ad -o novelty.png
    """
    _draw("novelty", annotated, output)


@app.command(name="risk-coverage")
def risk_coverage(annotated: Annotated_, output: Figure, truth: Truth, debug: options.Debug = False) -> None:
    """Draw the error rate among the surest cells against how many are answered.

    \b
    Examples:
      annatac plot risk-coverage out.h5ad -o risk.png --truth cell_type
    """
    _draw("risk-coverage", annotated, output, truth=truth)


@app.command()
def reliability(annotated: Annotated_, output: Figure, truth: Truth, debug: options.Debug = False) -> None:
    """Draw how often calls are right against the confidence in them.

    \b
    Example:
      annatac plot reliability out.h5ad -o reliability.png --truth cell_type
    """
    _draw("reliability", annotated, output, truth=truth)


@app.command()
def training(
    run: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder, or a run log (run.jsonl).")],
    output: Figure,
    debug: options.Debug = False,
) -> None:
    """Draw loss and accuracy over the epochs of a training run.

    \b
    Examples:
      annatac plot training model -o training.png
    """
    _draw("training", run, output)


@app.command()
def learning(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL MODEL...", help="Model folders, or run logs (run.jsonl).")
    ],
    output: Figure,
    name: Annotated[
        list[str] | None, typer.Option(metavar="WORDS", help="Name of a line, once a model, in order.")
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Draw accuracy, macro-F1 and loss by epoch of models fine-tuned on the same cells, with and without a base.

    \b
    Examples:
      annatac finetune cells.h5ad -o plain --label-key cell_type
      annatac finetune cells.h5ad -o based --label-key cell_type \\
          --base human-base
      annatac plot learning plain based -o learning.png
    """
    from annatac import jobs

    say(f"Written: {jobs.plot_learning(models, output, names=name or [])}")


def _draw(
    kind: str, source: Path, output: Path, *, truth: str | None = None, color: str | None = None
) -> None:
    from annatac import jobs

    say(f"Written: {jobs.plot(kind, source, output, truth=truth, color=color)}")
