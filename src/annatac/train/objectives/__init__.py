"""What pre-training asks of the network: one file an objective, one function each, chosen by ``pretrain.objective``."""

from __future__ import annotations

from annatac.train.objectives.contrast import contrast
from annatac.train.objectives.open_closed import open_closed
from annatac.train.objectives.openness import openness
from annatac.train.objectives.terms import Objective, Setting, Terms

OBJECTIVES: dict[str, Objective] = {
    "openness": openness,
    "open_closed": open_closed,
    "contrast": contrast,
}

__all__ = ["OBJECTIVES", "Objective", "Setting", "Terms"]
