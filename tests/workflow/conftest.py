"""The workflow's own modules, which Snakemake finds beside its Snakefile."""

from __future__ import annotations

import sys
from pathlib import Path

WORKFLOW = Path(__file__).parents[2] / "workflow"
sys.path.insert(0, str(WORKFLOW))
