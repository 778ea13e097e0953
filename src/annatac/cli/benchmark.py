"""``annatac benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from annatac.cli import options
from annatac.cli.terminal import say, show, speaks

if TYPE_CHECKING:
    from annatac.benchmark.runner import Progress
    from annatac.benchmark.suite import Suite

_WHAT, _HOW = "What is compared", "How it runs"


def _option(*names: str, help: str, panel: str, metavar: str | None = None, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, metavar=metavar, **more)


def benchmark(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder of results; a run in it goes on."),
    ] = None,
    suite: Annotated[
        str | None,
        _option(
            "--suite", metavar="NAME|YAML", help="quick, full, protocols, or a file of your own.", panel=_WHAT
        ),
    ] = None,
    reference: Annotated[
        str | None,
        _option("--reference", metavar="DATA", help="Labelled cells: a file or a data set.", panel=_WHAT),
    ] = None,
    query: Annotated[
        str | None,
        _option(
            "--query",
            metavar="DATA",
            help="Labelled cells to judge on; otherwise whole batches or folds of the reference.",
            panel=_WHAT,
        ),
    ] = None,
    label_key: Annotated[
        str, _option("--label-key", metavar="COLUMN", help="Column of obs with the types.", panel=_WHAT)
    ] = "cell_type",
    batch_key: Annotated[
        str | None,
        _option(
            "--batch-key", metavar="COLUMN", help="Donors or batches: each is held out once.", panel=_WHAT
        ),
    ] = None,
    methods: Annotated[
        str | None,
        _option("--methods", metavar="A,B,...", help="Methods; `--list` names them.", panel=_WHAT),
    ] = None,
    sets: Annotated[
        str | None, _option("--sets", metavar="A,B,...", help="Some of the suite's sets.", panel=_WHAT)
    ] = None,
    seeds: Annotated[
        str | None, _option("--seeds", metavar="0,1,...", help="Seeds of splits and training.", panel=_WHAT)
    ] = None,
    list_methods: Annotated[
        bool, _option("--list", help="List methods and suites, and leave.", panel=_WHAT)
    ] = False,
    setup: Annotated[
        bool,
        _option(
            "--setup",
            help="Make the environments of published packages (by pip, from the network), and leave.",
            panel=_HOW,
        ),
    ] = False,
    workers: Annotated[int, _option("--workers", min=1, help="Tasks at a time.", panel=_HOW)] = 1,
    limit_minutes: Annotated[
        float | None, _option("--limit-minutes", min=0.01, help="Time limit of a task.", panel=_HOW)
    ] = None,
    limit_gb: Annotated[
        float | None, _option("--limit-gb", min=0.01, help="Memory limit of a task.", panel=_HOW)
    ] = None,
    retry_failed: Annotated[
        bool, _option("--retry-failed", help="Run tasks again that had crashed.", panel=_HOW)
    ] = False,
    threads: options.Threads = None,
    debug: options.Debug = False,
) -> None:
    """Compare methods on labelled cells: accuracy with intervals, time, memory.

    \b
    Each task (method, data set, protocol, seed) runs in a process of its
    own and leaves one file, so that the same command goes on after Ctrl-C.
    One that crashes, or runs out of time or memory, is recorded as such.

    \b
    Examples:
      annatac benchmark --suite quick -o quick --workers 2
      annatac benchmark --reference donors.h5ad --label-key cell_type \\
          --batch-key donor --methods annatac,logistic_balanced -o mine
      annatac benchmark --reference a.h5ad --query b.h5ad -o cross \\
          --methods annatac,naive_bayes --seeds 0,1,2
      annatac benchmark --setup --methods celltypist_live,singler_live
    """
    if list_methods:
        _list()
        return
    named = [part.strip() for part in methods.split(",") if part.strip()] if methods else None
    if setup:
        _set_up(named)
        return
    if output is None:
        raise typer.BadParameter("give the folder of results with -o")
    from annatac import jobs

    found = jobs.benchmark(
        _suite(suite, reference, query, label_key, batch_key, named),
        output,
        methods=named,
        only_sets=[part.strip() for part in sets.split(",")] if sets else None,
        seeds=_numbers(seeds),
        limit_s=limit_minutes * 60 if limit_minutes else None,
        limit_mb=limit_gb * 1024 if limit_gb else None,
        workers=workers,
        threads=threads or 1,
        retry_failed=retry_failed,
        on_done=_tell,
    )
    from annatac.benchmark.protocol_tables import unknown_types
    from annatac.benchmark.summary_tables import summary_tables

    for name, types in unknown_types(found.table).items():
        listed = ", ".join(f"{one} ({n:,})" for one, n in types.items())
        say(f"{name}: the reference lacks types of the query, which are left out of the scores: {listed}.")
    show(summary_tables(found.table, found.comparisons))
    failed = (
        f" {found.n_failed} of them did not end well: see `error` in results.csv." if found.n_failed else ""
    )
    say(f"{found.n_tasks} tasks.{failed}\nWritten: {', '.join(str(path) for path in found.files)}")


def _suite(
    suite: str | None,
    reference: str | None,
    query: str | None,
    label_key: str,
    batch_key: str | None,
    methods: list[str] | None,
) -> str | Suite:
    if (suite is None) == (reference is None):
        raise typer.BadParameter("give either --suite or --reference")
    if suite is not None:
        if query is not None or batch_key is not None:
            raise typer.BadParameter("--query and --batch-key go with --reference; a suite names its own")
        return suite
    from annatac.benchmark.one_set import suite_of_one

    return suite_of_one(
        str(reference), query=query, label_key=label_key, batch_key=batch_key, methods=methods
    )


def _numbers(seeds: str | None) -> list[int] | None:
    if seeds is None:
        return None
    try:
        return [int(part) for part in seeds.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--seeds is '{seeds}'; whole numbers such as 0,1,2 are expected") from None


def _tell(progress: Progress) -> None:
    """Say on standard error how a task went."""
    if not speaks():
        return
    outcome = progress.outcome
    task = outcome["task"]
    what = f"{task['set']['name']}, {task['kind']}"
    if task["cell_type"] or task["level"] != 1:
        what += f" {task['cell_type'] or task['level']}"
    if outcome["status"] == "ok":
        scores = outcome["scores"]
        said = f"accuracy {scores['accuracy'][0]:.3f}, macro-F1 {scores['macro_f1'][0]:.3f}"
    else:
        said = f"{outcome['status'].replace('_', ' ')}: {outcome['error']}"
    cost = f"{outcome['wall_s']:.0f} s, {outcome['peak_mb']:,.0f} MiB"
    typer.echo(
        f"[{progress.n_done}/{progress.n_tasks}] {task['method']} on {what}, seed {task['seed']}: {said} ({cost})",
        err=True,
    )


def _set_up(named: list[str] | None) -> None:
    from annatac import jobs
    from annatac.errors import InputError

    found = jobs.set_up_rivals(named, on_step=lambda text: typer.echo(text, err=True) if speaks() else None)
    for one in found:
        if not one.error:
            say(f"{one.name}: {one.folder}")
    if failed := [one.error for one in found if one.error]:
        raise InputError("\n".join(failed))


def _list() -> None:
    from rich import box
    from rich.table import Table

    from annatac.benchmark.method import methods
    from annatac.benchmark.suite import Suite, suite_names

    table = Table(box=box.SIMPLE_HEAD)
    for column in ("method", "source", "about"):
        table.add_column(column, no_wrap=column == "method")
    for name, spec in methods().items():
        table.add_row(name, spec.source, spec.about)
    show(table)
    for name in suite_names():
        say(f"suite {name}: {Suite.load(name).description}")
