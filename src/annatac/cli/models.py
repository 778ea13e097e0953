"""``annatac models``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annatac.cli import options
from annatac.cli.terminal import say, show

app = typer.Typer(
    no_args_is_help=True,
    help="Ready models: which ship with annatac, what they are, fetching others.",
    rich_markup_mode="rich",
)


@app.command("list")
def list_(debug: options.Debug = False) -> None:
    """List the models that ship with annatac.

    \b
    A base is a start for your own labelled cells (`finetune --base NAME`); an
    annotator names cells as it is (`annotate --model NAME`).
    """
    from rich import box
    from rich.table import Table

    from annatac.model import ready

    table = Table(box=box.SIMPLE_HEAD)
    for column in ("name", "kind", "types", "assemblies", "islands", "MB"):
        table.add_column(column, no_wrap=True)
    for name in ready.names():
        its = ready.facts(name)
        size = f"{its['bytes'] / 1e6:.1f}"
        where = ", ".join(its["genomes"])
        table.add_row(name, its["kind"], str(len(its["types"])), where, f"{its['n_islands']:,}", size)
    show(table)


@app.command("info")
def info(
    model: Annotated[str, typer.Argument(metavar="NAME|FOLDER")],
    debug: options.Debug = False,
) -> None:
    """Show a model's card: what it was made from, what it was measured on, where it fails.

    \b
    Examples:
      annatac models info human-blood
    """
    from annatac.model import ready

    its = ready.facts(model)
    where = " and ".join(its["genomes"]) or "no stated assembly"
    say(
        f"{its['folder']} ({its['kind']}, {its['n_islands']:,} islands, {where}, {its['bytes'] / 1e6:.1f} MB)"
    )
    if its["types"]:
        say(f"Types: {', '.join(its['types'])}")
    say(its["card"] or "It has no card.")


@app.command("fetch")
def fetch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="OWNER/NAME|URL|FOLDER", help="Hugging Face repository, web address or folder."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Model folder to write.")],
    revision: Annotated[
        str, typer.Option(metavar="NAME", help="Branch, tag or commit of a repository.")
    ] = "main",
    overwrite: options.Overwrite = False,
    debug: options.Debug = False,
) -> None:
    """Copy a model here; every file is held against its checksum, and a half model is never left.

    \b
    Examples:
      annatac models fetch lab/blood-atac -o blood
      annatac models fetch https://example.org/models/blood -o blood
    """
    from annatac.model import ready

    say(f"Written: {ready.fetch(source, output, revision=revision, overwrite=overwrite)}")


@app.command("lift")
def lift(
    model: Annotated[str, typer.Argument(metavar="NAME|FOLDER")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Model folder to write.")],
    chain: Annotated[
        Path, typer.Option(metavar="FILE", help="UCSC chain file between the two assemblies, either way.")
    ],
    genome: Annotated[str, typer.Option(metavar="NAME", help="The other assembly, such as hg38.")],
    overwrite: options.Overwrite = False,
    debug: options.Debug = False,
) -> None:
    """Write a model, or base, that takes cells on another assembly without the chain file.

    \b
    It keeps where each of its peaks (or islands) lies there; whoever gets the
    model needs no chain file.

    \b
    Examples:
      annatac models lift model -o model_both --genome hg38 --chain hg19ToHg38.over.chain.gz
    """
    from annatac.annotate.lifting import placed
    from annatac.model import artifact, ready
    from annatac.pp.places import of_what

    lifted = placed(artifact.load(ready.find(model)), chain, genome)
    artifact.save(lifted, output, overwrite=overwrite)
    for name, places in lifted.places.items():
        n_found = int((places["position"] >= 0).sum())
        say(f"{n_found:,} of {len(places):,} {of_what(lifted.universe)} have a place on {name}.")
    say(f"Written: {output}")
