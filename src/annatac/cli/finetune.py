"""``annatac finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.terminal import say, watched


def finetune(
    references: Annotated[list[Path], typer.Argument(metavar="REFERENCE", help="Labelled cells.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Model folder to write.")],
    label_key: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Column of obs with the cell types.", rich_help_panel=options.READING
        ),
    ] = None,
    labels: options.Labels = None,
    batch_key: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of obs with donors or batches ('sample' for several inputs): whole ones are held out to "
            "choose the best epoch, which is the honest way.",
            rich_help_panel=options.READING,
        ),
    ] = None,
    base: Annotated[
        str,
        typer.Option(
            metavar="none|auto|NAME|FOLDER",
            help="Start from a ready base (`annatac models list`) or a pre-trained model (`annatac pretrain`); 'auto': "
            "the ready base that suits the reference, or none.",
            rich_help_panel=options.TRAINING,
        ),
    ] = "none",
    chain: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="UCSC chain between the reference's assembly and the base's, where they differ.",
            rich_help_panel=options.TRAINING,
        ),
    ] = None,
    recipe: options.Recipe = "default",
    epochs: options.Epochs = None,
    resume: options.Resume = False,
    keep_reference: Annotated[
        bool,
        typer.Option(
            "--keep-reference/--no-keep-reference",
            help="Keep profiles of the types and a sample of the reference's cells in the folder.",
            rich_help_panel=options.TRAINING,
        ),
    ] = True,
    keep_mislabelled: Annotated[
        bool,
        typer.Option(
            "--keep-mislabelled",
            help="Learn from all labelled cells. Else those whose label is probably wrong are left out and listed, "
            "where the reference clearly holds such.",
            rich_help_panel=options.TRAINING,
        ),
    ] = False,
    hierarchy: Annotated[
        str,
        typer.Option(
            metavar="cell-ontology|FILE|none",
            help="Ancestors of the types, by which unsure cells are answered: the Cell Ontology's, or a CSV of child "
            "and parent.",
            rich_help_panel=options.TRAINING,
        ),
    ] = "cell-ontology",
    overwrite: options.Overwrite = False,
    gtf: options.Genes = None,
    bin_size: options.BinSize = 5000,
    genome: options.Genome = None,
    peaks: options.Peaks = None,
    barcodes: options.Barcodes = None,
    min_fragments: options.MinFragments = None,
    chrom_sizes: options.ChromSizes = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    precision: options.Precision = None,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Train a model on labelled cells.

    \b
    Ctrl-C leaves a checkpoint beside the model folder; the same command with
    --resume goes on from it.

    \b
    Examples:
      annatac finetune reference.h5ad -o model --label-key cell_type \\
          --batch-key donor
      annatac finetune peaks_mtx -o model --labels types.csv --genome hg38
      annatac finetune donor1.h5ad donor2.h5ad -o model \\
          --label-key cell_type --batch-key sample
    """
    from annatac import jobs

    annotator = jobs.finetune(
        references,
        output,
        label_key=label_key,
        labels=labels,
        batch_key=batch_key,
        recipe=recipe,
        epochs=epochs,
        base=None if base == "none" else base,
        chain=chain,
        genes=gtf,
        bin_size=bin_size,
        seed=seed,
        device=device,
        precision=precision,
        resume=resume,
        overwrite=overwrite,
        keep_reference=keep_reference,
        keep_mislabelled=keep_mislabelled,
        hierarchy=hierarchy,
        progress=watched(),
        genome=genome,
        peaks=peaks,
        barcodes=barcodes,
        min_fragments=min_fragments,
        chrom_sizes=chrom_sizes,
    )
    if base == "auto":
        say(f"Base: {annotator.artifact.training['base'] or 'none, for no ready base suits the reference'}.")
    tree = annotator.hierarchy
    if tree is not None and hierarchy == "cell-ontology":
        unmatched = ", ".join(tree.unmatched)
        say(
            f"Cell Ontology: {len(tree.classes) - len(tree.unmatched)} of {len(tree.classes)} types have a term."
            + (f" Without one, and without ancestors but 'cell': {unmatched}." if unmatched else "")
        )
    trained, figures = annotator.artifact.training, annotator.artifact.metrics
    held_out = figures["held_out"]
    say(
        f"Trained on {trained['n_cells']:,} cells of {len(annotator.classes)} types. On "
        f"{figures['n_held_out']:,} cells held out ({trained['held_out']}): accuracy {held_out['accuracy']:.3f}, "
        f"macro-F1 {held_out['macro_f1']:.3f} (best epoch: {figures['best_epoch']}).\n"
        f"Written: {output} (use it with `annatac annotate QUERY --model {output} -o out.h5ad`)"
    )
