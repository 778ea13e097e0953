"""The commands, in the order in which they are used."""

from __future__ import annotations

from typing import Annotated

import typer

from annatac import __version__
from annatac.cli import (
    annotate,
    benchmark,
    clusters,
    conditions,
    corpus,
    datasets,
    demo,
    elements,
    evaluate,
    explain,
    finetune,
    footprints,
    markers,
    models,
    motifs,
    plot,
    prepare,
    pretrain,
    pseudobulk,
    qc,
    report,
    simulate,
    tracks,
    trajectory,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"annatac {__version__}")
        raise typer.Exit


@app.callback()
def annatac(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=lambda value: _version(wanted=value)),
    ] = False,
) -> None:
    """Name the cell type of every cell of a scATAC-seq experiment.

    \b
    Train on a labelled reference, then name the cells of a query:
      annatac finetune reference.h5ad -o model --label-key cell_type
      annatac annotate filtered_peak_bc_matrix.h5 --model model -o out.h5ad

    \b
    Inputs are what Cell Ranger ATAC or ARC, SnapATAC2, ArchR or Signac left
    on disk: .h5, matrix.mtx folders, outs/, .h5ad, .zarr, .h5mu, .arrow,
    fragments.tsv.gz. Several inputs become one. `annatac COMMAND --help` has
    the options of a command, with examples.
    """


_MAIN, _CHECK, _MORE = "From cells to names", "Was it right?", "Preparation and help"
_BIOLOGY = "From names to biology"
app.command(rich_help_panel=_MAIN)(finetune.finetune)
app.command(rich_help_panel=_MAIN)(annotate.annotate)
app.command(rich_help_panel=_CHECK)(evaluate.evaluate)
app.command(rich_help_panel=_CHECK)(benchmark.benchmark)
app.command(rich_help_panel=_CHECK)(plot.embed)
app.command(rich_help_panel=_CHECK)(clusters.clusters)
app.add_typer(plot.app, name="plot", rich_help_panel=_CHECK)
app.command(rich_help_panel=_BIOLOGY)(markers.markers)
app.command(rich_help_panel=_BIOLOGY)(elements.elements)
app.command(rich_help_panel=_BIOLOGY)(conditions.conditions)
app.command(rich_help_panel=_BIOLOGY)(pseudobulk.pseudobulk)
app.command(rich_help_panel=_BIOLOGY)(motifs.motifs)
app.command(rich_help_panel=_BIOLOGY)(footprints.footprints)
app.command(rich_help_panel=_BIOLOGY)(tracks.tracks)
app.command(rich_help_panel=_BIOLOGY)(trajectory.trajectory)
app.command(rich_help_panel=_BIOLOGY)(explain.explain)
app.command(rich_help_panel=_BIOLOGY)(qc.qc)
app.command(rich_help_panel=_BIOLOGY)(report.report)
app.command(rich_help_panel=_MORE)(prepare.prepare)
app.command(rich_help_panel=_MORE)(pretrain.pretrain)
app.command(rich_help_panel=_MORE)(simulate.simulate)
app.add_typer(corpus.app, name="corpus", rich_help_panel=_MORE)
app.command(rich_help_panel=_MORE)(demo.demo)
app.add_typer(models.app, name="models", rich_help_panel=_MORE)
app.add_typer(datasets.app, name="datasets", rich_help_panel=_MORE)
