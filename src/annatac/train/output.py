"""Where a training run keeps its checkpoints, and what both kinds of training write alike."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from annatac.errors import AnnatacError, ModelError, OutputError
from annatac.io.atomic import check_writable
from annatac.train.checkpoint import FILE as CHECKPOINT
from annatac.train.distributed import is_first


def run_folder(output: Path, *, resume: bool, overwrite: bool) -> Path:
    """Return ``OUTPUT.run``, the folder of checkpoints; :func:`kept_if_usable` makes it.

    Raises
    ------
    OutputError
        The output could not be written in the end: it exists, or its place is not writable.
    ModelError
        ``resume`` without a checkpoint.
    """
    folder = output.with_name(output.name + ".run")
    if not is_first():  # the first process checks and writes
        return folder
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists already. Pass --overwrite to replace it, or choose another name.")
    if resume and not (folder / CHECKPOINT).is_file():
        raise ModelError(f"Nothing to resume: there is no checkpoint in {folder}. Start without --resume.")
    check_writable(output)
    return folder


@contextmanager
def kept_if_usable(folder: Path, *, resume: bool) -> Iterator[None]:
    """Make the folder of checkpoints; where the block fails before there is one, remove it again."""
    if not is_first():
        yield
        return
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        if not (folder / CHECKPOINT).is_file():
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, AnnatacError):
            raise OutputError(f"Cannot write in {folder}: {error.strerror or error}.") from error
        raise


def island_settings(made: Mapping[str, Any], bin_size: int) -> dict[str, Any]:
    """Return how a query's islands are to be made, ready for JSON: as those were that say ``made``.

    ``made`` is ``uns['annatac_islands']``, or the ``island_settings`` of a corpus.
    """
    made = json.loads(json.dumps(dict(made), default=str))
    kept = {name: made[name] for name in ("assign", "openness", "standard_chromosomes") if name in made}
    return {"bin_size": int(made.get("bin_size", bin_size)), **kept}
