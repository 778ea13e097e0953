"""What a corpus on disk holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from annatac.corpus.store import Corpus


def corpus_facts(folder: str | Path) -> dict[str, Any]:
    """Return what there is to say of a corpus and of each of its samples, ready for JSON.

    Raises
    ------
    MissingFileError, InputError, DamagedFileError
        No corpus, or one that cannot be used.
    """
    corpus = Corpus.open(folder)
    manifest, of_cell = corpus.manifest, corpus.samples()
    samples = [
        {
            "name": sample.name,
            "n_cells": sample.n_cells,
            "n_tokens": sample.n_tokens,
            "n_counts": sample.n_counts,
            "median_open": float(np.median(corpus.n_open[of_cell == number])),
            "known": sample.known,
            "counted": sample.counted,
            "options": sample.options,
            "path": None if sample.source is None else sample.source.path,
        }
        for number, sample in enumerate(manifest.samples)
    ]
    return {
        "n_cells": manifest.n_cells,
        "n_tokens": manifest.n_tokens,
        "n_islands": manifest.n_islands,
        "genome": manifest.genome,
        "bin_size": manifest.bin_size,
        "island_settings": manifest.island_settings,
        "bytes": sum(shard.bytes for sample in manifest.samples for shard in sample.shards),
        "samples": samples,
    }
