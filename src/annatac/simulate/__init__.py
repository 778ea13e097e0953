"""Simulated cells: made up for demonstrations and tests, or drawn from real bulk profiles.

``made_up`` invents types, ``profiles`` reads bulk profiles, ``fit`` measures what cells are like, ``bulk`` draws
cells, ``rna`` makes up RNA counts to go with ATAC cells. Whatever is measured on simulated cells says nothing of
real ones.
"""

from __future__ import annotations

from annatac.simulate.bulk import from_bulk
from annatac.simulate.fit import CellStatistics, cell_statistics
from annatac.simulate.made_up import BLOOD, simulate_cells
from annatac.simulate.profiles import Profiles, as_profiles, read_profiles
from annatac.simulate.rna import simulate_rna

__all__ = [
    "BLOOD",
    "CellStatistics",
    "Profiles",
    "as_profiles",
    "cell_statistics",
    "from_bulk",
    "read_profiles",
    "simulate_cells",
    "simulate_rna",
]
