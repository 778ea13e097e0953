"""The calls of a query, block by block of its cells, in one process and in many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd

from annatac.annotate.adapt import Adaptation
from annatac.annotate.annotator import Annotator
from annatac.annotate.calls import Calls, CallSettings, make_calls
from annatac.annotate.query import QueryTokens
from annatac.train.device import choose_device, compiling_pays
from annatac.train.distributed import gather_arrays, rank, world_size

BLOCK = 2_048  # cells; the same whatever the number of processes, and so are the batches within


def call_blocks(
    annotator: Annotator,
    query: QueryTokens,
    settings: CallSettings,
    *,
    adaptation: Adaptation | None = None,
    device: str = "auto",
    precision: str = "float32",
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[Calls]:
    """Yield the calls of all cells in order, some thousand cells at a time.

    Several processes (:func:`annatac.train.distributed.together`) take the blocks in turn. The first one is
    given the calls of all cells, the others those of their own.

    ``adaptation`` is what the query's own cells changed (:func:`annatac.annotate.adapt.adapt`); ``on_progress``
    is called with the number of cells that are done.
    """
    n_cells, n_processes = query.n_cells, world_size()

    def calls_of(first: int, last: int, done: int) -> Calls:
        def tell(n: int) -> None:
            if on_progress is not None:
                on_progress(min(n_cells, done + n * n_processes))

        tokens = query.tokens(first, last)
        predicted = annotator.predict(tokens, device=device, precision=precision, on_progress=tell)
        adapted = None
        if adaptation is not None:
            adapted = adaptation.logits(annotator, tokens, predicted, first)
        return make_calls(annotator, tokens, predicted, settings, adapted)

    compiles = compiling_pays(choose_device(device), n_cells // n_processes)
    with annotator.artifact.network.compiled(compiles):
        for start in range(0, n_cells, BLOCK * n_processes):
            first = start + rank() * BLOCK
            if first < n_cells:
                yield _gathered(calls_of(first, min(first + BLOCK, n_cells), start))
            else:  # the others have one more: the shape of one cell's calls, and no row
                calls = calls_of(0, 1, start)
                yield _gathered(Calls(calls.obs[:0], {name: array[:0] for name, array in calls.obsm.items()}))


def joined(calls: Iterable[Calls]) -> Calls:
    """Return consecutive blocks as one."""
    blocks = list(calls)
    obs = pd.concat([block.obs for block in blocks], ignore_index=True)
    return Calls(obs, {slot: np.concatenate([b.obsm[slot] for b in blocks]) for slot in blocks[0].obsm})


def _gathered(calls: Calls) -> Calls:
    """Return, in the first process, the calls of all processes one below the other."""
    if world_size() == 1:
        return calls
    columns = {name: _gathered_column(column) for name, column in calls.obs.items()}
    obsm = {name: gather_arrays(array) for name, array in calls.obsm.items()}
    return Calls(pd.DataFrame(columns), obsm)


def _gathered_column(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):  # the categories are the same in all processes
        codes = gather_arrays(column.cat.codes.to_numpy())
        return pd.Series(pd.Categorical.from_codes(codes, dtype=column.dtype))
    return pd.Series(gather_arrays(column.to_numpy()))
