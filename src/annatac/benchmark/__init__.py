"""Judging annotations: metrics, and the evaluation of annotated cells against known types."""

from __future__ import annotations

from annatac.benchmark import metrics
from annatac.benchmark.evaluate import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate", "metrics"]
