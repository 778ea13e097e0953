"""``annatac demo``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.terminal import say, show, watched


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write.")] = Path(
        "demo"
    ),
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="H5AD", help="Real labelled cells, instead of simulated ones.", rich_help_panel="Data"
        ),
    ] = None,
    label_key: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Their types.", rich_help_panel="Data")
    ] = None,
    batch_key: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Their donors or batches: whole ones become the query. Otherwise a stratified share does.",
            rich_help_panel="Data",
        ),
    ] = None,
    novel_type: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            help="Type that the reference is to lack; otherwise the smallest of 20 cells or more.",
            rich_help_panel="Data",
        ),
    ] = None,
    recipe: options.Recipe = "default",
    overwrite: options.Overwrite = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Show the whole way in about two minutes: train, annotate, evaluate, draw.

    \b
    Without --data the cells are simulated by annatac. The query is another
    donor, and holds a type that the model has never seen.

    \b
    Examples:
      annatac demo
      annatac demo -o bmmc --data reference.h5ad --label-key cell_type \\
          --batch-key donor
    """
    from annatac.demo import FILES
    from annatac.demo import demo as run

    result = run(
        output,
        data=data,
        label_key=label_key,
        batch_key=batch_key,
        novel_type=novel_type,
        recipe=recipe,
        seed=seed,
        device=device,
        overwrite=overwrite,
        progress=watched(),
        on_step=lambda text: print(text, file=sys.stderr, flush=True),
    )
    show(result.evaluation)
    if data is None:
        say("The cells are simulated: these figures show that annatac works, not how well.\n")
    took = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in result.seconds.items() if seconds >= 0.5)
    say(f"Took {sum(result.seconds.values()):.0f} s ({took}).\nWritten:")
    for name, words in FILES.items():
        say(f"  {result.folder / name}: {words}")
