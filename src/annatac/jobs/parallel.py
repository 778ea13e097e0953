"""One function on many tasks: in this process, on a local Dask cluster, or on a Dask scheduler that runs already."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from annatac.errors import AnnatacError, ConfigError, MissingDependencyError

T = TypeVar("T")
R = TypeVar("R")


class WorkerKilled(AnnatacError):
    """The process that did a task was killed each time that it was tried."""


class SchedulerLost(AnnatacError):
    """The Dask scheduler has ended, or cannot be reached any more."""


def has_dask() -> bool:
    """Return whether Dask's distributed scheduler is installed."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        return False
    return True


def run_all(
    function: Callable[[T], R], tasks: Sequence[T], *, workers: int = 1, scheduler: str | None = None
) -> Iterator[tuple[int, R | Exception]]:
    """Yield the number of each task with its result, or with the exception that it ended in, as they end.

    Parameters
    ----------
    workers
        Processes of a local cluster, one thread each; with 1 all is done in this process, without Dask.
    scheduler
        Address of a Dask scheduler, such as ``tcp://host:8786``; its workers need this annatac, and the file
        system that the tasks name.

    Raises
    ------
    MissingDependencyError, ConfigError
        Dask is not installed; no scheduler answers there.
    SchedulerLost
        The scheduler ended before the tasks did.
    """
    if scheduler is None and workers <= 1:
        for i, task in enumerate(tasks):
            yield i, _outcome(function, task)
        return
    if not has_dask():
        raise MissingDependencyError(
            "Several samples at once need Dask. Install it with `pip install 'annatac[dask]'`, or pass --workers 1."
        )
    with _client(workers, scheduler) as client:
        yield from _on(client, function, tasks)


def _outcome(function: Callable[[T], R], task: T) -> R | Exception:
    try:
        return function(task)
    except Exception as error:
        return error


def _on(client: Any, function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R | Exception]]:
    """Run the tasks; those whose worker was killed once more at the end, one by one, when there is most memory."""
    killed: list[int] = []
    for number, outcome in _at_once(client, function, tasks, range(len(tasks))):
        if isinstance(outcome, WorkerKilled):
            killed.append(number)
        else:
            yield number, outcome
    for number in killed:
        yield from _at_once(client, function, tasks, [number])


def _at_once(
    client: Any, function: Callable[[T], R], tasks: Sequence[T], numbers: Iterable[int]
) -> Iterator[tuple[int, R | Exception]]:
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    waiting = iter(numbers)
    number_of: dict[Any, int] = {}
    running = as_completed(loop=client.loop)

    def fill() -> None:
        """Hand out a task a thread: those that wait at a worker which is killed would count as tried too."""
        free = max(1, sum(client.nthreads().values())) - len(number_of)
        for number in islice(waiting, max(free, 0)):
            future = client.submit(function, tasks[number], pure=False)
            number_of[future] = number
            running.add(future)

    fill()
    for future in running:
        try:
            error = future.exception()
        except CancelledError as lost:
            raise SchedulerLost(
                "The Dask scheduler has ended or cannot be reached any more. Look into its log, and start it again."
            ) from lost
        if isinstance(error, KilledWorker):
            error = WorkerKilled(
                "The process that did it was killed each time. Was there enough memory? Pass fewer --workers, and "
                "look into the log of the system."
            )
        yield number_of.pop(future), error if error is not None else future.result()
        fill()


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="20s", set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"No Dask scheduler answers at {scheduler} ({error}). Start one with `dask scheduler`, and give its "
                "address, such as tcp://host:8786."
            ) from error
        with client:
            yield client
        return
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),  # a second try is ours: see _on
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
