"""``annatac pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.terminal import say, watched


def pretrain(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT", help="Files of unlabelled cells, or corpora.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Model folder to write.")],
    recipe: options.Recipe = "default",
    epochs: options.Epochs = None,
    profiles: Annotated[
        Path | None,
        typer.Option(
            metavar="H5AD",
            help="Bulk profiles (types x peaks): the islands' vectors are theirs, not those of the cells.",
            rich_help_panel=options.TRAINING,
        ),
    ] = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    gtf: options.Genes = None,
    bin_size: options.BinSizeIfAny = None,
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
    """Pre-train a base model on unlabelled cells, for finetune --base.

    \b
    A corpus (`annatac prepare INPUT... -o FOLDER`) is streamed: memory does
    not grow with the number of cells. Under torchrun several processes work
    together.

    \b
    Examples:
      annatac pretrain atlas1.h5ad atlas2.h5ad -o base --genome hg38
      annatac prepare donor*/outs -o corpus --genome hg38
      annatac pretrain corpus -o base
      annatac finetune reference.h5ad -o model --label-key cell_type \\
          --base base
    """
    from annatac import jobs

    jobs.pretrain(
        inputs,
        output,
        recipe=recipe,
        epochs=epochs,
        profiles=profiles,
        genes=gtf,
        bin_size=bin_size,
        seed=seed,
        device=device,
        precision=precision,
        resume=resume,
        overwrite=overwrite,
        progress=watched(),
        genome=genome,
        peaks=peaks,
        barcodes=barcodes,
        min_fragments=min_fragments,
        chrom_sizes=chrom_sizes,
    )
    say(f"Pre-trained a base model.\nWritten: {output} (use it with `annatac finetune --base {output}`)")
