"""``annatac prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from annatac.cli import options
from annatac.cli.terminal import say
from annatac.errors import ConfigError

CORPUS, LIFT = "Corpus", "Another assembly"


def prepare(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT", help="Files or folders of cells; of a corpus also NAME=INPUT."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="H5AD|FOLDER", help="File to write (.h5ad), or folder of a corpus."
        ),
    ],
    genome: options.Genome = None,
    islands: Annotated[
        options.IslandChoice,
        typer.Option(
            help="All islands, or those with a start site (--gtf).", rich_help_panel=options.ISLANDS
        ),
    ] = options.IslandChoice.all,
    gtf: options.Genes = None,
    bin_size: options.BinSizeIfAny = None,
    assign: Annotated[
        options.AssignChoice,
        typer.Option(
            help="A peak belongs to the island of its midpoint, of its start (as published), or to all that it "
            "overlaps.",
            rich_help_panel=options.ISLANDS,
        ),
    ] = options.AssignChoice.midpoint,
    openness: Annotated[
        options.OpennessChoice,
        typer.Option(
            help="Of an island, from its peaks' counts; the mean is rounded up.",
            rich_help_panel=options.ISLANDS,
        ),
    ] = options.OpennessChoice.mean,
    blacklist: Annotated[
        Path | None,
        typer.Option(
            metavar="BED",
            help="Leave out peaks that overlap these intervals.",
            rich_help_panel=options.ISLANDS,
        ),
    ] = None,
    peaks: options.Peaks = None,
    barcodes: options.Barcodes = None,
    min_fragments: options.MinFragments = None,
    chrom_sizes: options.ChromSizes = None,
    labels: options.Labels = None,
    lift_to: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Lift peaks and fragments to this assembly first; --genome is the one that they are on.",
            rich_help_panel=LIFT,
        ),
    ] = None,
    chain: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="UCSC chain between the two, in either direction.", rich_help_panel=LIFT
        ),
    ] = None,
    universe: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER|FILE",
            help="Islands of a new corpus: those of a model, of a corpus, or an islands.tsv.gz; else all bins of the "
            "assembly.",
            rich_help_panel=CORPUS,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Samples at once; by default as many as there are cores.", rich_help_panel=CORPUS
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A Dask scheduler that runs already, such as tcp://host:8786.",
            rich_help_panel=CORPUS,
        ),
    ] = None,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Make peak islands of any input: a file of them, or a corpus to pre-train on.

    \b
    The file is not needed before finetune or annotate, which do the same by
    themselves: it saves time where one input is used often, and shows what
    annatac makes of it. A corpus holds many samples on disk. Samples that it
    has already are left out, so the same command goes on where one was
    stopped, and adds new samples later.

    \b
    Examples:
      annatac prepare outs/fragments.tsv.gz -o islands.h5ad --genome hg38 \\
          --barcodes outs/singlecell.csv
      annatac prepare a.h5ad b.h5ad -o both.h5ad --islands tss \\
          --gtf gencode.gtf.gz
      annatac prepare new.h5ad -o islands.h5ad --genome hg38 \\
          --lift-to hg19 --chain hg19ToHg38.over.chain.gz
      annatac prepare donor1/outs donor2/outs pbmc=10k.h5 -o corpus \\
          --genome hg38 --workers 8
    """
    counting = {"assign": assign.value, "openness": openness.value, "blacklist": blacklist}
    reading = {
        "peaks": peaks,
        "barcodes": barcodes,
        "min_fragments": min_fragments,
        "chrom_sizes": chrom_sizes,
    }
    lifting = {"lift_to": lift_to, "chain": chain}
    common = {"genome": genome, "islands": islands.value, "genes": gtf, **counting, **reading, **lifting}
    if output.suffix == ".h5ad":
        _only_for_corpora(universe=universe, workers=workers, scheduler=scheduler)
        _to_file(inputs, output, bin_size=bin_size or 5000, labels=labels, **common)
        return
    if labels is not None:
        raise ConfigError("A corpus holds no labels. Leave --labels out, or write a file (-o NAME.h5ad).")
    _to_corpus(
        inputs,
        output,
        universe=universe,
        bin_size=bin_size,
        workers=workers,
        scheduler=scheduler,
        **common,
    )


def _only_for_corpora(**given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise ConfigError(
                f"--{name} is for a corpus, and a name that ends in .h5ad is for one file of islands. Leave the "
                "option out, or name a folder."
            )


def _to_file(inputs: list[Path], output: Path, **settings: Any) -> None:
    from annatac import jobs
    from annatac.jobs.preparing import facts

    found = facts(jobs.prepare(inputs, output, **settings))
    say(
        f"{found['n_cells']:,} cells x {found['n_islands']:,} islands on "
        f"{found['genome'] or 'an assembly that is not stated'}, {found['median_open']:,.0f} open in the median "
        f"cell; {found['n_low_quality']:,} cells flagged as low quality.\nWritten: {output}"
    )


def _to_corpus(inputs: list[Path], output: Path, **settings: Any) -> None:
    from annatac import jobs

    def on_sample(name: str, outcome: Any) -> None:
        if outcome is None:
            say(f"{name}: in the corpus already.")
        elif not isinstance(outcome, Exception):
            say(
                f"{name}: {outcome.n_cells:,} cells, {outcome.n_tokens:,} open islands, {outcome.known:.1%} of its "
                "counts."
            )

    report = jobs.prepare_corpus(inputs, output, on_sample=on_sample, **settings)
    manifest = report.manifest
    say(
        f"{len(report.added)} samples added, {len(report.skipped)} were there: {len(manifest.samples)} in all, "
        f"{manifest.n_cells:,} cells over {manifest.n_islands:,} islands on "
        f"{manifest.genome or 'an assembly that is not stated'}.\n"
        f"Written: {output} (use it with `annatac pretrain {output} -o MODEL`)"
    )
