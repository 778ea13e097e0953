"""Many cells as tokens: random streams keyed by cell, batches of like depth."""

from annatac.corpus.batches import collate, plan_batches
from annatac.corpus.streams import keyed_uniform

__all__ = ["collate", "keyed_uniform", "plan_batches"]
