"""Many cells as tokens, in memory or on disk: random streams keyed by cell, batches of like depth."""

from annatac.corpus.batches import collate, plan_batches
from annatac.corpus.cells import Cells, CsrCells, as_cells
from annatac.corpus.manifest import is_corpus
from annatac.corpus.store import Corpus
from annatac.corpus.streams import keyed_uniform
from annatac.corpus.writer import open_for_writing

__all__ = [
    "Cells",
    "Corpus",
    "CsrCells",
    "as_cells",
    "collate",
    "is_corpus",
    "keyed_uniform",
    "open_for_writing",
    "plan_batches",
]
