"""``annatac corpus``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.terminal import say, show

app = typer.Typer(
    no_args_is_help=True,
    help="Corpora (`annatac prepare INPUT... -o FOLDER`): what they hold, whether they are whole.",
    rich_markup_mode="rich",
)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A corpus.")]


@app.command("info")
def info(folder: Folder, debug: options.Debug = False) -> None:
    """Show the samples of a corpus, what they were read from, and its islands.

    \b
    Examples:
      annatac corpus info corpus
    """
    from rich import box
    from rich.table import Table

    from annatac import jobs

    facts = jobs.corpus_facts(folder)
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("sample", "cells", "open (median)", "counts known", "of", "read from"):
        table.add_column(
            column, justify="right" if column in ("cells", "open (median)", "counts known") else "left"
        )
    for sample in facts["samples"]:
        table.add_row(
            sample["name"],
            f"{sample['n_cells']:,}",
            f"{sample['median_open']:,.0f}",
            f"{sample['known']:.1%}",
            sample["counted"] or "",
            sample["path"] or "memory",
        )
    show(table)
    made = ", ".join(
        f"{name} {value}" for name, value in facts["island_settings"].items() if value is not None
    )
    say(
        f"{facts['n_cells']:,} cells, {facts['n_tokens']:,} open islands, {facts['bytes'] / 1e6:,.1f} MB over "
        f"{facts['n_islands']:,} islands on {facts['genome'] or 'an assembly that is not stated'} ({made})."
    )


@app.command("verify")
def verify(folder: Folder, debug: options.Debug = False) -> None:
    """Hold every shard of a corpus against its checksum.

    \b
    Examples:
      annatac corpus verify corpus
    """
    from annatac.corpus import Corpus

    corpus = Corpus.open(folder)
    corpus.verify()
    manifest = corpus.manifest
    n_shards = sum(len(sample.shards) for sample in manifest.samples)
    say(
        f"{folder} is whole: {n_shards} shards of {len(manifest.samples)} samples, {manifest.n_cells:,} cells."
    )
