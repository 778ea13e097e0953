"""A suite of one data set, from what a user names on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from annatac.benchmark import sets
from annatac.benchmark.suite import SetConfig, Suite

DEFAULT_METHODS = ("annatac", "logistic_balanced", "naive_bayes", "lsi_knn")


def suite_of_one(
    reference: str,
    *,
    query: str | None = None,
    label_key: str = "cell_type",
    batch_key: str | None = None,
    methods: Sequence[str] | None = None,
) -> Suite:
    """Return a suite of one set: study to study, every batch held out once, or one stratified fold of five.

    Raises
    ------
    ConfigError, MissingFileError, LabelError
        An unknown method; a file or column that is not there.
    """
    folds: tuple[int, ...] = (0,)
    if batch_key and not query:
        config = SetConfig(name="reference", reference=reference, label_key=label_key, batch_key=batch_key)
        folds = tuple(range(sets.n_batches(config)))
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(reference).name.split(".")[0]).strip("-.") or "reference"
    one = SetConfig(
        name=stem,
        reference=reference,
        query=query or "",
        label_key=label_key,
        batch_key=batch_key or "",
        folds=folds,
    )
    return Suite(name=stem, methods=tuple(methods or DEFAULT_METHODS), sets=(one,))
