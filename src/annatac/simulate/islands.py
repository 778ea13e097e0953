"""The 5-kb islands that peaks lie in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

BIN_BP = 5000


def group_peaks(peaks: pd.DataFrame) -> tuple[npt.NDArray[np.int64], int]:
    """Return the number of each peak's island (by its midpoint; 0 .. n - 1) and n."""
    middle = (peaks["start"].to_numpy(np.int64) + peaks["end"].to_numpy(np.int64)) // 2 // BIN_BP
    chrom = pd.factorize(peaks["chrom"].to_numpy(dtype=object))[0].astype(np.int64)
    island_of, islands = pd.factorize(chrom * (1 << 32) + middle)
    return island_of.astype(np.int64), len(islands)
