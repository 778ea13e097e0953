"""What commands say: results on standard output, progress on standard error where it is a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


def speaks() -> bool:
    """Return whether this process is the one that speaks: of those that torchrun started, the first."""
    return os.environ.get("RANK", "0") == "0"


def say(text: str) -> None:
    """Print a line on standard output."""
    if speaks():
        print(text)


def show(renderable: Any) -> None:
    """Print a table: as wide as the terminal, 100 columns where there is none."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 100, highlight=False).print(renderable)


def watched() -> bool:
    """Return whether somebody watches standard error."""
    return sys.stderr.isatty() and speaks()


@contextmanager
def cells_bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function of (cells done, all cells) that moves a bar; None where nobody watches."""
    if not watched():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("cells"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def counted(counts: Mapping[str, int], *, most: int = 12) -> str:
    """Return names with their cells, one a line, the most frequent first."""
    total = max(sum(counts.values()), 1)
    most = len(counts) if len(counts) == most + 1 else most  # a line for the last one says more than '1 more'
    lines = [f"  {n:>9,}  {n / total:>6.1%}  {name}" for name, n in list(counts.items())[:most]]
    if len(counts) > most:
        rest = sum(list(counts.values())[most:])
        lines.append(f"  {rest:>9,}  {rest / total:>6.1%}  in {len(counts) - most} more types")
    return "\n".join(lines)
