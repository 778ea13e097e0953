"""``annatac datasets``."""

from __future__ import annotations

from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.terminal import say, show

app = typer.Typer(
    no_args_is_help=True,
    help="Public data sets by name: which there are, where they lie.",
    rich_markup_mode="rich",
)


@app.command("list")
def list_(debug: options.Debug = False) -> None:
    """List the data sets that annatac knows by name, and those that are on this machine.

    \b
    Nothing is downloaded: they are looked for in $ANNATAC_DATA, beside a
    checkout of the repository, and in the cache.
    """
    from rich import box
    from rich.table import Table

    from annatac import datasets

    table = Table(box=box.SIMPLE_HEAD)
    for column in ("name", "assembly", "here", "content"):
        table.add_column(column, no_wrap=column == "name")
    for name in datasets.names():
        dataset = datasets.info(name)
        table.add_row(name, dataset.genome, "yes" if datasets.is_here(name) else "no", dataset.about)
    show(table)


@app.command("path")
def path(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `annatac datasets list` has it.")],
    debug: options.Debug = False,
) -> None:
    """Print where the file of a data set lies.

    \b
    Examples:
      annatac finetune $(annatac datasets path schep2017_lines) -o model \\
          --label-key cell_type
    """
    from annatac import datasets

    say(str(datasets.path(name)))
