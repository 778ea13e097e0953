"""A suite of tasks -> result files, one tidy table, a page."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from annatac.benchmark import sets
from annatac.benchmark.label_names import warn_of_likely_same
from annatac.benchmark.protocols import split
from annatac.benchmark.results import comparisons, tidy, write_tables
from annatac.benchmark.runner import Limits, Progress, run_tasks
from annatac.benchmark.suite import SetConfig, Suite
from annatac.benchmark.tasks import Task, tasks_of
from annatac.errors import AnnatacWarning, ConfigError, MissingDependencyError
from annatac.io.atomic import atomic_path, check_writable
from annatac.report.benchmark_page import benchmark_page

if TYPE_CHECKING:
    import pandas as pd

OURS = "annatac"


@dataclass(frozen=True, kw_only=True)
class Benchmarked:
    """What a benchmark found: the tidy table, ours against the best rivals, the files written."""

    table: pd.DataFrame
    comparisons: pd.DataFrame
    n_tasks: int
    n_failed: int
    files: list[Path]


def benchmark(
    suite: str | Path | Suite,
    output: str | Path,
    *,
    methods: Sequence[str] | None = None,
    only_sets: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    limit_s: float | None = None,
    limit_mb: float | None = None,
    workers: int = 1,
    threads: int = 1,
    retry_failed: bool = False,
    on_done: Callable[[Progress], None] | None = None,
) -> Benchmarked:
    """Run a suite (what has no result yet) and write its tables.

    Parameters
    ----------
    suite
        Name of a shipped suite, a YAML file, or a :class:`~annatac.benchmark.suite.Suite`.
    output
        Folder: ``tasks/`` with one file a task, ``results.csv``, ``results.parquet``, ``comparisons.csv``,
        and the page ``benchmark.html``.
    methods, only_sets, seeds, limit_s, limit_mb
        Instead of the suite's.
    workers, threads
        Tasks at a time, and threads of each.
    retry_failed, on_done
        As in :func:`annatac.benchmark.runner.run_tasks`.

    Raises
    ------
    ConfigError, MissingFileError, LabelError, OutputError
        A wrong suite or name; a data set that is not there; a column that it lacks; a folder that cannot be written
        or that another run writes into.
    """
    suite = _chosen(Suite.load(suite), methods, only_sets, seeds, limit_s, limit_mb)
    check_writable(Path(output) / "results.csv")
    for one in suite.sets:
        _check_set(one, suite)
    tasks = tasks_of(suite, sets.types_of)
    limits = Limits(seconds=suite.limit_s, memory_mb=suite.limit_mb, threads=threads)
    paths = run_tasks(
        tasks, output, limits=limits, workers=workers, retry_failed=retry_failed, on_done=on_done
    )
    return summarise(paths, output, suite)


def summarise(paths: Sequence[Path], output: str | Path, suite: Suite) -> Benchmarked:
    """Write tables and page of results that are there, and return the tables.

    Warns
    -----
    AnnatacWarning
        The page is left away, since jinja2 or matplotlib is not installed.
    """
    table = tidy(paths)
    files = write_tables(table, output)
    compared = comparisons(paths, OURS)
    if len(compared):
        files.append(Path(output) / "comparisons.csv")
        with atomic_path(files[-1]) as path:
            compared.to_csv(path, index=False)
    try:
        files.append(benchmark_page(table, compared, paths, suite, Path(output) / "benchmark.html"))
    except MissingDependencyError as error:
        warnings.warn(f"benchmark.html is not written: {error}", AnnatacWarning, stacklevel=2)
    runs = table[table["metric"] == "wall_s"]
    return Benchmarked(
        table=table,
        comparisons=compared,
        n_tasks=len(paths),
        n_failed=int((runs["status"] != "ok").sum()),
        files=files,
    )


def _chosen(
    suite: Suite,
    methods: Sequence[str] | None,
    only_sets: Sequence[str] | None,
    seeds: Sequence[int] | None,
    limit_s: float | None,
    limit_mb: float | None,
) -> Suite:
    """Return the suite with a user's choices in the place of its own."""
    names = [one.name for one in suite.sets]
    if only_sets and (strange := [name for name in only_sets if name not in names]):
        raise ConfigError(f"Suite '{suite.name}' has no set '{strange[0]}'; it has {', '.join(names)}.")
    chosen_methods = tuple(methods or suite.methods)
    chosen_sets = tuple(one for one in suite.sets if not only_sets or one.name in only_sets)
    kept = {one.name for one in chosen_sets}
    protocols = tuple(
        replace(
            protocol,
            methods=tuple(name for name in protocol.methods if name in chosen_methods),
            sets=tuple(name for name in protocol.sets if name in kept),
        )
        for protocol in suite.protocols
        if (not protocol.methods or set(protocol.methods) & set(chosen_methods))
        and (not protocol.sets or set(protocol.sets) & kept)
    )
    return replace(
        suite,
        methods=chosen_methods,
        sets=chosen_sets,
        protocols=protocols,
        seeds=tuple(seeds) if seeds else suite.seeds,
        single_seed=tuple(name for name in suite.single_seed if name in chosen_methods),
        limit_s=limit_s or suite.limit_s,
        limit_mb=limit_mb or suite.limit_mb,
    )


def _check_set(config: SetConfig, suite: Suite) -> None:
    """Refuse a set that cannot be read or split before any task runs; warn of names that are probably one."""
    reference = sets.load_reference(config)
    if config.query:
        query_types = set(sets.load_query(config).obs[sets.TRUTH])
    else:
        for fold in config.folds:
            split(reference, Task(set=config, method="", kind="split", fold=fold, seed=suite.seeds[0]))
        query_types = set()
    warn_of_likely_same(set(reference.obs[sets.TRUTH]), query_types)
