"""What pre-training asks of the network: one file an objective, chosen by ``pretrain.objective``."""

from __future__ import annotations

from typing import Any

from annatac.train.objectives import contrast, open_closed, openness
from annatac.train.objectives.terms import Objective, Setting, Terms

OBJECTIVES: dict[str, Objective[Any]] = {
    "openness": openness,
    "open_closed": open_closed,
    "contrast": contrast,
}

__all__ = ["OBJECTIVES", "Objective", "Setting", "Terms"]
